/** `sluice leases`: who holds what, and who waits for what and why. */
import type { Command } from "commander";
import type { Suspension__Output as Suspension } from "../../proto/generated/sluice/v1/Suspension.ts";
import { formatSizeRounded } from "../../shared/units.ts";
import type { Fleet } from "../fleet/index.ts";
import type { LeaseInfo, QueueEntryInfo } from "../index.ts";
import { addJsonOption, addServerOption, type JsonOptions, type ServerOptions } from "./options.ts";
import { computeText, durationText, print, printJson, sizeText, terminalWidth } from "./output.ts";
import { describeExpected, describeReasons } from "./place.ts";
import { type Item, itemsOf, serversTable, withFleet, withServers } from "./servers.ts";
import { type Column, formatTable } from "./table.ts";

const leaseColumns: readonly Column[] = [
  { title: "LEASE" },
  { title: "TENANT", shrinkTo: 5 },
  { title: "NAME", shrinkTo: 5 },
  { title: "DEVICES", shrinkTo: 6 },
  { title: "MEMORY", align: "right" },
  { title: "STATE" },
  { title: "HELD", align: "right", isOptional: true },
  { title: "CALLS", align: "right", isOptional: true },
];

const queueColumns: readonly Column[] = [
  { title: "PLACE", align: "right" },
  { title: "REQUEST" },
  { title: "TENANT", shrinkTo: 6 },
  { title: "NAME", shrinkTo: 6 },
  { title: "ASKS FOR" },
  { title: "WAITS", align: "right" },
  { title: "GIVES UP IN", align: "right", isOptional: true },
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
    await withFleet(options, async (fleet) => {
      const answers = await fleet.each((control) => control.listLeases());
      const leases = itemsOf(answers, (answer) => answer.leases);
      const queue = itemsOf(answers, (answer) => answer.queue);
      if (options.json) {
        const shown = withServers(leases).map((lease) => ({ ...lease, state: stateText(lease) }));
        printJson({ leases: shown, queue: withServers(queue) });
        return;
      }
      print(leases.length === 0 ? "No leases." : leaseTable(fleet, leases));
      if (queue.length > 0) print(`\n${queueTable(fleet, queue)}`);
    });
  });
}

/** `granted`, `attached`, `suspending`, `suspended`, `resuming` or `ending`. */
export const stateText = (lease: LeaseInfo): string => lease.state.replace("LEASE_STATE_", "").toLowerCase();

/** Under each that was promised a part of its devices' time, how much, and under each that is suspended, why. */
function leaseTable(fleet: Fleet, items: readonly Item<LeaseInfo>[]): string {
  const now = Date.now();
  const table = formatTable(...serversTable(fleet, { columns: leaseColumns, items, row: leaseRow }), terminalWidth());
  const [title, ...rows] = table.split("\n");
  const below = items.map(({ item }) =>
    [
      ...(promisedOf(item) === 0 ? [] : [`Uses ${busyText(item)} of its devices' time, the second number promised.`]),
      ...(item.suspension === null ? [] : [suspensionText(item.suspension, now)]),
    ]
      .map((sentence) => `\n         ${sentence}`)
      .join(""),
  );
  return [title, ...rows.map((row, index) => row + below[index]!)].join("\n");
}

const promisedOf = ({ slices }: LeaseInfo): number => slices.reduce((sum, { compute }) => sum + compute, 0);

/** Why, for how long, and what becomes of it. */
function suspensionText(suspension: Suspension, now: number): string {
  const { message, sinceAtMs, savedBytes, keptBytes, comesBack } = suspension;
  const kept = keptBytes === 0 ? "" : `, ${formatSizeRounded(keptBytes)} kept for its modules`;
  const saved = savedBytes === 0 ? kept : `, ${formatSizeRounded(savedBytes)} saved${kept}`;
  const until = comesBack ? "until there is room" : "until `sluice resume`";
  return `Suspended for ${durationText(Math.max(0, now - sinceAtMs))}, ${until}${saved}: ${message}`;
}

/** Under each request, why it waits: a column would cut what its owner most wants to read. */
function queueTable(fleet: Fleet, items: readonly Item<QueueEntryInfo>[]): string {
  const now = Date.now();
  const row = (entry: QueueEntryInfo) => queueRow(entry, now);
  const table = formatTable(...serversTable(fleet, { columns: queueColumns, items, row }), terminalWidth());
  const [title, ...rows] = table.split("\n");
  const reasons = items
    .slice(0, REASONED_MAX)
    .map(({ item: entry }) =>
      [
        ...(entry.startsAtMs > 0 ? [`It is ${describeExpected(entry.startsAtMs, entry.position)}.`] : []),
        ...describeReasons(entry.reasons),
      ]
        .map((reason) => `\n         ${reason}`)
        .join(""),
    );
  const more = items.length > REASONED_MAX ? ["Why one of the others waits: `sluice explain --queued REQUEST`."] : [];
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

/** How much of its devices' time it uses, and how much it was promised if it was: `24/25%`. */
export function busyText(lease: LeaseInfo): string {
  const used = Math.round((lease.activity?.deviceLoad ?? 0) * 100);
  const promised = promisedOf(lease);
  return promised === 0 ? `${used}%` : `${used}/${computeText(promised)}`;
}

/** What a request asks for. */
export function wishText({ memoryBytes, fraction, devices, compute, leaseId }: QueueEntryInfo): string {
  if (leaseId !== "") return `to resume ${sharesText({ memoryBytes, fraction, devices, compute })}`;
  return sharesText({ memoryBytes, fraction, devices, compute });
}

function sharesText({
  memoryBytes,
  fraction,
  devices,
  compute,
}: Pick<QueueEntryInfo, "memoryBytes" | "fraction" | "devices" | "compute">): string {
  const memory =
    memoryBytes > 0 ? sizeText(memoryBytes) : fraction === 1 ? "a whole device" : `${fraction} of a device`;
  const share = compute === 0 ? memory : `${memory}, ${computeText(compute)} of the time`;
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
    entry.waitEndsAtMs === 0 ? "never" : durationText(Math.max(0, entry.waitEndsAtMs - now)),
  ];
}
