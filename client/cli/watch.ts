/** `sluice watch`: the pool as it changes. A picture that redraws itself on a terminal, a line of JSON per change with `--json`. */
import { type Command, Option } from "commander";
import type { WatchPoolResponse__Output as Change } from "../../proto/generated/sluice/v1/WatchPoolResponse.ts";
import { SluiceError, toSluiceError } from "../../shared/errors.ts";
import { emptyCopy } from "../../shared/pool-copy.ts";
import { printable } from "../../shared/printable.ts";
import type { Control } from "../control.ts";
import { failureOf, shortWords } from "../fleet/index.ts";
import { sleep } from "../outage.ts";
import { addJsonOption, addServerOption, type JsonOptions, readDuration, type ServerOptions } from "./options.ts";
import { note, print, terminalWidth } from "./output.ts";
import { mergedPool, type PictureOptions, poolAfter, poolPicture, type WatchedPool } from "./pool-picture.ts";
import { withFleet } from "./servers.ts";
import { onStopSignal } from "./signals.ts";

interface WatchOptions extends ServerOptions, JsonOptions {
  readonly interval: number;
}

/** In raw mode no signal comes for Ctrl-C and Ctrl-D. */
const QUIT_KEYS = ["q", "\x03", "\x04"] as const;
/** Rows where the terminal does not tell how many it has. */
const ROWS_DEFAULT = 24;
/** How often a server that is left out is asked again. */
const RETRY_MS = 5_000;

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
    withFleet(options, async ({ controls }) => {
      const screen = options.json || !process.stdout.isTTY ? undefined : new Screen();
      const servers = controls.map((control) => new WatchedServer(control));
      const controller = new AbortController();
      const stop = (): void => controller.abort();
      const stopListening = onStopSignal(stop);
      const picture = (rows?: number): string[] => pictureOf(servers, { width: terminalWidth(), rows });
      const draw = (): void => screen?.draw(picture);
      screen?.open({ onQuit: stop, onResize: draw });
      const listener: Listener = {
        onChange: (control, change) => {
          if (options.json) print(JSON.stringify({ ...change, server: control.address }));
          else if (screen !== undefined) draw();
          else print(`${picture().join("\n")}\n`);
        },
        onLost: (words) => {
          if (servers.every(({ failure }) => failure !== undefined)) controller.abort();
          else if (screen === undefined) note(words);
          else draw();
        },
      };
      try {
        await Promise.all(
          servers.map((server) => server.follow(listener, { intervalMs: options.interval, signal: controller.signal })),
        );
      } finally {
        stopListening();
        screen?.close();
      }
      const failures = servers.flatMap(({ control, failure }) =>
        failure === undefined ? [] : { control, error: failure },
      );
      if (failures.length === servers.length) throw failureOf(failures);
    }),
  );
}

interface Listener {
  readonly onChange: (control: Control, change: Change) => void;
  /** A server is lost, as a sentence. */
  readonly onLost: (words: string) => void;
}

/** What is known of one server. */
class WatchedServer {
  readonly control: Control;
  copy: WatchedPool = emptyCopy;
  /** Why nothing is known of it now. */
  failure: SluiceError | undefined;

  constructor(control: Control) {
    this.control = control;
  }

  get words(): string | undefined {
    return this.failure && `The server ${this.control.name} is left out: ${shortWords(this.failure)}`;
  }

  /** Until `signal` is aborted; a server that is lost is looked for. */
  async follow(
    listener: Listener,
    { intervalMs, signal }: { readonly intervalMs: number; readonly signal: AbortSignal },
  ): Promise<void> {
    const onChange = (change: Change): void => {
      this.copy = poolAfter(this.copy, change);
      this.failure = undefined;
      listener.onChange(this.control, change);
    };
    while (!signal.aborted) {
      this.copy = emptyCopy;
      try {
        await this.control.watchPool({ intervalMs }, { signal, onChange });
        if (signal.aborted) return;
        throw new SluiceError("SHUTTING_DOWN", "The server ends its news of the pool.");
      } catch (error) {
        const isNews = this.failure === undefined;
        this.failure = toSluiceError(error);
        this.copy = emptyCopy;
        if (isNews) listener.onLost(this.words!);
      }
      await sleep(RETRY_MS, signal).catch(() => {});
    }
  }
}

/** All servers as one pool, with the names of those of which nothing is known. */
function pictureOf(
  servers: readonly WatchedServer[],
  options: Pick<PictureOptions, "width"> & { rows: number | undefined },
) {
  const [first, ...others] = servers;
  const { width, rows = Number.POSITIVE_INFINITY } = options;
  if (others.length === 0) return poolPicture(first!.copy, { server: first!.control.address, width, rows });
  const lost = servers.flatMap(({ words }) => words ?? []);
  const known = servers.map(({ control, copy }) => [control.name, copy] as const);
  return [...poolPicture(mergedPool(known), { server: servers.length, width, rows: rows - lost.length }), ...lost];
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
    const cut = (line: string): string => [...printable(line)].slice(0, terminalWidth()).join("");
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
