/** `sluice watch`: the pool as it changes. A picture that redraws itself on a terminal, a line of JSON per change with `--json`. */
import { type Command, Option } from "commander";
import type { Tenant__Output as Tenant } from "../../proto/generated/sluice/v1/Tenant.ts";
import { SluiceError } from "../../shared/errors.ts";
import { changedCopy, emptyCopy, type PoolCopy } from "../../shared/pool-copy.ts";
import { formatSizeRounded } from "../../shared/units.ts";
import type { DeviceInfo, LeaseInfo, QueueEntryInfo } from "../index.ts";
import { stateText, wishText } from "./leases.ts";
import {
  addJsonOption,
  addServerOption,
  type JsonOptions,
  readDuration,
  type ServerOptions,
  withControl,
} from "./options.ts";
import { durationText, print, sizeText, terminalWidth, unicodeTerminal } from "./output.ts";
import { onStopSignal } from "./signals.ts";
import { type Column, formatBar, formatTable } from "./table.ts";

interface WatchOptions extends ServerOptions, JsonOptions {
  readonly interval: number;
}

type Copy = PoolCopy<DeviceInfo, LeaseInfo, QueueEntryInfo, Tenant>;

const BAR_WIDTH = 12;
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

const deviceColumns: readonly Column[] = [
  { title: "DEVICE" },
  { title: "NAME", shrinkTo: 6 },
  { title: "LENT", align: "right" },
  { title: "FREE", align: "right" },
  { title: "MEMORY" },
  { title: "SLICES", align: "right" },
  { title: "UTIL", align: "right" },
  { title: "STATE", shrinkTo: 7 },
];

const leaseColumns: readonly Column[] = [
  { title: "LEASE", shrinkTo: 12 },
  { title: "TENANT", shrinkTo: 6 },
  { title: "NAME", shrinkTo: 4 },
  { title: "DEVICES", shrinkTo: 6 },
  { title: "MEMORY", align: "right" },
  { title: "STATE" },
  { title: "CALLS/S", align: "right" },
  { title: "TRIPS/S", align: "right" },
  { title: "IN/S", align: "right" },
  { title: "OUT/S", align: "right" },
  { title: "BUSY", align: "right" },
];

const queueColumns: readonly Column[] = [
  { title: "PLACE", align: "right" },
  { title: "TENANT", shrinkTo: 6 },
  { title: "NAME", shrinkTo: 4 },
  { title: "ASKS FOR" },
  { title: "WAITS", align: "right" },
];

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
On a terminal it redraws until q or Ctrl-C. Elsewhere each change is a picture
of its own; with --json it is one line: the message of WatchPool as JSON.

Examples:
  sluice watch
  sluice watch --interval 5s
  sluice watch --json | jq -c '.leases[] | [.id, .activity.callsPerSecond]'`,
  );
  command.action((options: WatchOptions) =>
    withControl(options, async (control) => {
      let copy: Copy = emptyCopy;
      const screen = options.json || !process.stdout.isTTY ? undefined : new Screen();
      const controller = new AbortController();
      const stop = (): void => controller.abort();
      const stopListening = onStopSignal(stop);
      const draw = (): void => screen?.draw(picture(copy, control.address, terminalWidth()));
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
              else print(`${picture(copy, control.address, terminalWidth()).join("\n")}\n`);
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

  draw(lines: readonly string[]): void {
    const rows = process.stdout.rows ?? ROWS_DEFAULT;
    const shown =
      lines.length <= rows ? lines : [...lines.slice(0, rows - 1), `... ${lines.length - rows + 1} more lines`];
    process.stdout.write(HOME + shown.map((line) => line + LINE_REST).join("\r\n") + SCREEN_REST);
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

function picture(copy: Copy, server: string, width: number): string[] {
  const { queue, waiting, nowAtMs } = copy;
  const devices = [...copy.devices.values()];
  const leases = [...copy.leases.values()].sort((a, b) => a.grantedAtMs - b.grantedAtMs);
  const total = devices.reduce((sum, { memoryBytes }) => sum + memoryBytes, 0);
  const free = devices.reduce((sum, { freeBytes }) => sum + freeBytes, 0);
  const time = new Date(nowAtMs).toISOString().slice(11, 19);
  const summary = `${server}  ${time} UTC  ${sizeText(free)} of ${sizeText(total)} free  ${leases.length} leases  ${waiting} waiting`;
  const part = (title: string, text: string): string[] => ["", title, ...text.split("\n")];
  const hidden = waiting - queue.length;
  return [
    summary,
    "",
    ...formatTable(deviceColumns, devices.map(deviceRow), width).split("\n"),
    ...(leases.length === 0
      ? ["", "No leases. `sluice run -p 0.25 -- COMMAND` takes one."]
      : part("Leases", formatTable(leaseColumns, leases.map(leaseRow), width))),
    ...(queue.length === 0
      ? []
      : part(
          "Waiting",
          formatTable(
            queueColumns,
            queue.map((entry) => queueRow(entry, nowAtMs)),
            width,
          ),
        )),
    ...(hidden > 0 ? [`... ${hidden} more`] : []),
  ];
}

function deviceRow(device: DeviceInfo): string[] {
  const { memoryBytes, grantedBytes, overheadBytes, freeBytes, health } = device;
  const used = memoryBytes === 0 ? 0 : (grantedBytes + overheadBytes) / memoryBytes;
  const bar = formatBar(used, { width: BAR_WIDTH, unicode: unicodeTerminal() });
  const utilization = health?.utilization;
  return [
    device.id,
    device.name,
    sizeText(grantedBytes),
    sizeText(freeBytes),
    `${bar} ${String(Math.round(used * 100)).padStart(3)}%`,
    String(device.slices),
    utilization === undefined ? "-" : `${Math.round(utilization * 100)}%`,
    deviceState(device),
  ];
}

/** `open`, or why not. */
export function deviceState({ cordon, draining }: DeviceInfo): string {
  if (draining) return "draining";
  if (cordon === null) return "open";
  return cordon.code === "DEVICE_UNHEALTHY" ? "unhealthy" : "cordoned";
}

function leaseRow(lease: LeaseInfo): string[] {
  const { activity, slices } = lease;
  const count = (value = 0): string => Math.round(value).toLocaleString("en-US");
  return [
    lease.id,
    lease.tenant,
    lease.name || "-",
    slices.map(({ deviceId }) => deviceId).join(","),
    sizeText(slices.reduce((sum, { memoryBytes }) => sum + memoryBytes, 0)),
    stateText(lease),
    count(activity?.callsPerSecond),
    count(activity?.answersPerSecond),
    formatSizeRounded(Math.round(activity?.bytesReceivedPerSecond ?? 0)),
    formatSizeRounded(Math.round(activity?.bytesSentPerSecond ?? 0)),
    `${Math.round((activity?.deviceLoad ?? 0) * 100)}%`,
  ];
}

function queueRow(entry: QueueEntryInfo, nowAtMs: number): string[] {
  return [
    String(entry.position),
    entry.tenant,
    entry.name || "-",
    wishText(entry),
    durationText(Math.max(0, nowAtMs - entry.queuedAtMs)),
  ];
}
