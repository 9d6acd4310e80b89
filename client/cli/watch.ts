/** `sluice watch`: the pool as it changes. A picture that redraws itself on a terminal, a line of JSON per change with `--json`. */
import { type Command, Option } from "commander";
import { SluiceError } from "../../shared/errors.ts";
import { changedCopy, emptyCopy } from "../../shared/pool-copy.ts";
import {
  addJsonOption,
  addServerOption,
  type JsonOptions,
  readDuration,
  type ServerOptions,
  withControl,
} from "./options.ts";
import { print, terminalWidth } from "./output.ts";
import { poolPicture, type WatchedPool } from "./pool-picture.ts";
import { onStopSignal } from "./signals.ts";

interface WatchOptions extends ServerOptions, JsonOptions {
  readonly interval: number;
}

/** In raw mode no signal comes for Ctrl-C and Ctrl-D. */
const QUIT_KEYS = ["q", "\x03", "\x04"] as const;
/** Rows where the terminal does not tell how many it has. */
const ROWS_DEFAULT = 24;

/** Another screen without a cursor, and back; home; the rest of the line, and of the screen, empty. */
const ENTER = "\x1b[?1049h\x1b[?25l";
const LEAVE = "\x1b[?25h\x1b[?1049l";
const HOME = "\x1b[H";
const LINE_REST = "\x1b[K";
const SCREEN_REST = "\x1b[J";

export function addWatchCommand(program: Command): void {
  const command = program
    .command("watch")
    .description("show the pool as it changes: devices, leases with their rates, the queue")
    .addOption(
      new Option("--interval <duration>", "the least time between two pictures, from 100ms to 1m")
        .argParser(readDuration)
        .default(1_000, "1s"),
    );
  addJsonOption(addServerOption(command)).addHelpText(
    "after",
    `
On a terminal it redraws until q or Ctrl-C, and where not all fits, devices that
are closed and leases at work come first. Elsewhere each change is a picture
of its own; with --json it is one line: the message of WatchPool as JSON.

Examples:
  sluice watch
  sluice watch --interval 5s
  sluice watch --json | jq -c '.leases[] | [.id, .activity.callsPerSecond]'`,
  );
  command.action((options: WatchOptions) =>
    withControl(options, async (control) => {
      let copy: WatchedPool = emptyCopy;
      const screen = options.json || !process.stdout.isTTY ? undefined : new Screen();
      const controller = new AbortController();
      const stop = (): void => controller.abort();
      const stopListening = onStopSignal(stop);
      const draw = (): void =>
        screen?.draw((rows) => poolPicture(copy, { server: control.address, width: terminalWidth(), rows }));
      screen?.open({ onQuit: stop, onResize: draw });
      try {
        await control.watchPool(
          { intervalMs: options.interval },
          {
            signal: controller.signal,
            onChange: (change) => {
              if (options.json) return print(JSON.stringify(change));
              const changed = changedCopy(copy, change);
              if (changed === undefined) throw new SluiceError("PROTOCOL_ERROR", "The server leaves out a change.");
              copy = changed;
              if (screen !== undefined) draw();
              else print(`${poolPicture(copy, { server: control.address, width: terminalWidth() }).join("\n")}\n`);
            },
          },
        );
      } finally {
        stopListening();
        screen?.close();
      }
    }),
  );
}

/** The terminal while it shows a picture instead of lines. */
class Screen {
  #onQuit: () => void = () => {};
  #onResize: () => void = () => {};

  open(listeners: { readonly onQuit: () => void; readonly onResize: () => void }): void {
    this.#onQuit = listeners.onQuit;
    this.#onResize = listeners.onResize;
    process.stdout.write(ENTER);
    process.stdout.on("resize", this.#onResize);
    if (!process.stdin.isTTY) return;
    process.stdin.setRawMode(true);
    process.stdin.on("data", this.#onKey).resume();
  }

  draw(picture: (rows: number) => readonly string[]): void {
    const rows = process.stdout.rows ?? ROWS_DEFAULT;
    // What the terminal would break into lines would push others off it.
    const lines = picture(rows).slice(0, rows);
    const cut = (line: string): string => [...line].slice(0, terminalWidth()).join("");
    process.stdout.write(HOME + lines.map((line) => cut(line) + LINE_REST).join("\r\n") + SCREEN_REST);
  }

  close(): void {
    process.stdout.off("resize", this.#onResize);
    process.stdout.write(LEAVE);
    if (!process.stdin.isTTY) return;
    process.stdin.off("data", this.#onKey).pause();
    process.stdin.setRawMode(false);
  }

  readonly #onKey = (keys: Buffer): void => {
    if (QUIT_KEYS.some((key) => keys.includes(key))) this.#onQuit();
  };
}
