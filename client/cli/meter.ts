/** A bar on standard error for people who wait: one line that is drawn anew on a terminal, and nothing anywhere else. */
import { unicodeTerminal } from "./output.ts";
import { formatBar } from "./table.ts";

const BAR_WIDTH = 24;
const LINE_WIDTH = 79;

export class Meter {
  readonly #title: string;
  readonly #stream = process.stderr;

  constructor(title: string) {
    this.#title = title;
  }

  /** `fraction` of the work that is done, 0 to 1, and what is done now. */
  update(fraction: number, what: string): void {
    if (!this.#stream.isTTY) return;
    const bar = formatBar(fraction, { width: BAR_WIDTH, unicode: unicodeTerminal() });
    const percent = String(Math.round(fraction * 100)).padStart(3);
    this.#stream.write(`\r\u001b[2K${`${bar} ${percent} %  ${this.#title}: ${what}`.slice(0, LINE_WIDTH)}`);
  }

  clear(): void {
    if (this.#stream.isTTY) this.#stream.write("\r\u001b[2K");
  }
}
