/** `sluice leases`: who holds what, and who waits for what and why. */
import type { Command } from "commander";
import type { LeaseInfo, QueueEntryInfo } from "../index.ts";
import { addJsonOption, addServerOption, type JsonOptions, type ServerOptions, withControl } from "./options.ts";
import { durationText, print, printJson, sizeText, terminalWidth } from "./output.ts";
import { describeExpected, describeReasons } from "./place.ts";
import { type Column, formatTable } from "./table.ts";

const leaseColumns: readonly Column[] = [
  { title: "LEASE" },
  { title: "TENANT", shrinkTo: 6 },
  { title: "NAME", shrinkTo: 6 },
  { title: "DEVICES", shrinkTo: 8 },
  { title: "MEMORY", align: "right" },
  { title: "STATE" },
  { title: "HELD", align: "right" },
  { title: "CALLS", align: "right" },
];

const queueColumns: readonly Column[] = [
  { title: "PLACE", align: "right" },
  { title: "REQUEST" },
  { title: "TENANT", shrinkTo: 6 },
  { title: "NAME", shrinkTo: 6 },
  { title: "ASKS FOR" },
  { title: "WAITS", align: "right" },
  { title: "GIVES UP IN", align: "right" },
];

/** Of so many of the queue it is said why they wait: nobody reads it of thousands. */
const REASONED_MAX = 10;

export function addLeasesCommand(program: Command): void {
  const command = program.command("leases").description("show who holds what, and who waits and why");
  addJsonOption(addServerOption(command));
  command.addHelpText(
    "after",
    `
Examples:
  sluice leases
  sluice leases --json | jq -r '.leases[].id'`,
  );
  command.action(async (options: ServerOptions & JsonOptions) => {
    await withControl(options, async (control) => {
      const { leases, queue } = await control.listLeases();
      if (options.json) {
        printJson({ leases: leases.map((lease) => ({ ...lease, state: stateText(lease) })), queue });
        return;
      }
      const now = Date.now();
      print(leases.length === 0 ? "No leases." : leaseTable(leases));
      if (queue.length > 0) print(`\n${queueTable(queue, now)}`);
    });
  });
}

/** `granted`, `attached` or `ending`. */
export const stateText = (lease: LeaseInfo): string => lease.state.replace("LEASE_STATE_", "").toLowerCase();

const leaseTable = (leases: readonly LeaseInfo[]): string =>
  formatTable(leaseColumns, leases.map(leaseRow), terminalWidth());

/** Under each request, why it waits: a column would cut what its owner most wants to read. */
function queueTable(queue: readonly QueueEntryInfo[], now: number): string {
  const [title, ...rows] = formatTable(
    queueColumns,
    queue.map((entry) => queueRow(entry, now)),
    terminalWidth(),
  ).split("\n");
  const reasons = queue
    .slice(0, REASONED_MAX)
    .map((entry) =>
      [
        ...(entry.startsAtMs > 0 ? [`It is ${describeExpected(entry.startsAtMs, entry.position)}.`] : []),
        ...describeReasons(entry.reasons),
      ]
        .map((reason) => `\n         ${reason}`)
        .join(""),
    );
  const more = queue.length > REASONED_MAX ? ["Why one of the others waits: `sluice explain --queued REQUEST`."] : [];
  return [title, ...rows.map((row, index) => row + (reasons[index] ?? "")), ...more].join("\n");
}

function leaseRow(lease: LeaseInfo): string[] {
  const memory = lease.slices.reduce((sum, slice) => sum + slice.memoryBytes, 0);
  return [
    lease.id,
    lease.tenant,
    lease.name || "-",
    lease.slices.map((slice) => slice.deviceId).join(","),
    sizeText(memory),
    stateText(lease),
    durationText(lease.usage?.heldMs ?? 0),
    (lease.usage?.calls ?? 0).toLocaleString("en-US"),
  ];
}

/** What a request asks for. */
export function wishText({ memoryBytes, fraction, devices }: QueueEntryInfo): string {
  const share = memoryBytes > 0 ? sizeText(memoryBytes) : fraction === 1 ? "a whole device" : `${fraction} of a device`;
  return devices === 1 ? share : `${devices} x ${share}`;
}

function queueRow(entry: QueueEntryInfo, now: number): string[] {
  return [
    String(entry.position),
    entry.id,
    entry.tenant,
    entry.name || "-",
    wishText(entry),
    durationText(Math.max(0, now - entry.queuedAtMs)),
    durationText(Math.max(0, entry.waitEndsAtMs - now)),
  ];
}
