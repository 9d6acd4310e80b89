/** Progress of a long job: a bar that is redrawn on a terminal, plain lines now and then elsewhere; and a table of facts. */

const BAR_CELLS_MAX = 28;
/** For a terminal that does not tell its width. */
const COLUMNS_DEFAULT = 80;
const LINES_PER_JOB = 10;

export interface ProgressState {
  /** Parts done and parts in all. */
  readonly done: number;
  readonly total: number;
  /** What is told beside the bar. */
  readonly text: string;
}

/** `12.3 s`, or `2 min 05 s`. */
export function formatSeconds(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
}

export class Progress {
  readonly #out: NodeJS.WriteStream;
  readonly #started = performance.now();
  #linesWritten = 0;

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
  }

  get seconds(): number {
    return (performance.now() - this.#started) / 1000;
  }

  update({ done, total, text }: ProgressState): void {
    const share = done / total;
    const percent = `${String(Math.floor(share * 100)).padStart(3)} %`;
    const left = done === 0 ? "" : `  ETA ${formatSeconds((this.seconds / done) * (total - done))}`;
    const words = `${percent}  ${text}${left}`;
    if (this.#out.isTTY) {
      // A line that wraps could not be redrawn: the bar gives way first, then the words are clipped.
      const room = (this.#out.columns || COLUMNS_DEFAULT) - 1;
      const cells = Math.min(Math.max(room - words.length - 1, 0), BAR_CELLS_MAX);
      const filled = Math.round(share * cells);
      const bar = "█".repeat(filled) + "░".repeat(cells - filled);
      this.#out.write(`\r\x1b[2K${`${bar} ${words}`.trimStart().slice(0, room)}`);
      return;
    }
    if (Math.floor(share * LINES_PER_JOB) < this.#linesWritten) return;
    this.#linesWritten = Math.floor(share * LINES_PER_JOB) + 1;
    this.#out.write(`${words}\n`);
  }

  /** Ends the bar; `text` takes its place. */
  finish(text: string): void {
    this.#out.write(this.#out.isTTY ? `\r\x1b[2K${text}\n` : `${text}\n`);
  }
}

/** Rows of a name and a value, the names padded to one width. */
export function formatTable(title: string, rows: readonly (readonly [name: string, value: string])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length));
  return [title, ...rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`)].join("\n");
}

/** Bytes with two digits behind the point, in the unit that fits. */
export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = bytes < 1 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), units.length - 1);
  const value = bytes / 1024 ** power;
  return `${Number.isInteger(value) ? value : value.toFixed(2)} ${units[power]}`;
}
