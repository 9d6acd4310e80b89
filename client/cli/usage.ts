/** `sluice usage`: who used how much of the servers, from their ledgers. */
import { type Command, Option } from "commander";
import type { TenantUsage__Output as TenantUsage } from "../../proto/generated/sluice/v1/TenantUsage.ts";
import { csvCell } from "../../shared/csv.ts";
import { formatSizeRounded } from "../../shared/units.ts";
import { admin } from "../control.ts";
import {
  addJsonOption,
  addServerOption,
  type JsonOptions,
  READERS_ALONE,
  readTime,
  type ServerOptions,
} from "./options.ts";
import { durationText, print, printJson, terminalWidth } from "./output.ts";
import { type Item, itemsOf, serversTable, withFleet, withServers } from "./servers.ts";
import { type Column, formatTable } from "./table.ts";

interface UsageOptions extends ServerOptions, JsonOptions {
  readonly from?: number;
  readonly to?: number;
  readonly tenant?: string;
  readonly csv?: true;
}

const DAY_MS = 86_400_000;
const GIB_HOUR = 1024 ** 3 * 3_600_000;

const columns: readonly Column[] = [
  { title: "TENANT", shrinkTo: 6 },
  { title: "LEASES", align: "right" },
  { title: "HELD", align: "right" },
  { title: "GIB-HOURS", align: "right" },
  { title: "DEVICE TIME", align: "right" },
  { title: "CALLS", align: "right" },
  { title: "IN", align: "right" },
  { title: "OUT", align: "right" },
];

/** The columns of the CSV, in order: names do not change, new ones come last. */
const csvFields = {
  tenant: "tenant",
  leases: "leases",
  held_ms: "heldMs",
  byte_ms: "byteMs",
  calls: "calls",
  batches: "batches",
  answers: "answers",
  bytes_received: "bytesReceived",
  bytes_sent: "bytesSent",
  device_ms: "deviceMs",
} as const satisfies Record<string, keyof TenantUsage>;

export function addUsageCommand(program: Command): void {
  const command = program
    .command("usage")
    .description("show who used how much, by tenant and time span (admin, monitor)")
    .option("--from <time>", "start, as 2026-01-31 or so long ago as 7d (default: 30d)", readTime)
    .option("--to <time>", "end, likewise (default: now)", readTime)
    .option("--tenant <name>", "this tenant alone")
    .addOption(new Option("--csv", "print CSV, sizes in bytes and times in milliseconds").conflicts("json"));
  addJsonOption(addServerOption(command));
  command.addHelpText(
    "after",
    `
Held memory counts overhead. A lease that is partly outside the span counts with
the time inside; its calls count where it began.
${READERS_ALONE}

Examples:
  sluice usage
  sluice usage --from 2026-01-01 --to 2026-02-01 --csv > january.csv
  sluice usage --from 7d --tenant local --json`,
  );
  command.action(async (options: UsageOptions) => {
    const { from = Math.max(0, (options.to ?? Date.now()) - 30 * DAY_MS), to = 0, tenant = "" } = options;
    await withFleet(options, async (fleet) => {
      const answers = await fleet.each((control) =>
        control.ask(admin.ListUsage, { fromAtMs: from, toAtMs: to, tenant }),
      );
      const items = itemsOf(answers, ({ tenants }) => tenants);
      if (options.json) printJson({ ...answers[0].answer, tenants: withServers(items) });
      else if (options.csv) print(csvOf(items, fleet.only === undefined));
      else if (items.length === 0) print("No use in this span.");
      else print(formatTable(...serversTable(fleet, { columns, items, row }), terminalWidth()));
    });
  });
}

function row(usage: TenantUsage): string[] {
  return [
    usage.tenant,
    String(usage.leases),
    durationText(usage.heldMs),
    (usage.byteMs / GIB_HOUR).toFixed(3),
    durationText(usage.deviceMs),
    usage.calls.toLocaleString("en-US"),
    formatSizeRounded(usage.bytesReceived),
    formatSizeRounded(usage.bytesSent),
  ];
}

const cell = (value: string | number): string => (typeof value === "string" ? csvCell(value) : String(value));

/** Of several servers with theirs in the last column. */
function csvOf(items: readonly Item<TenantUsage>[], areSeveral: boolean): string {
  const lines = items.map(({ control, item }) => [
    ...Object.values(csvFields).map((field) => cell(item[field])),
    ...(areSeveral ? [cell(control.address)] : []),
  ]);
  return [[...Object.keys(csvFields), ...(areSeveral ? ["server"] : [])], ...lines]
    .map((cells) => cells.join(","))
    .join("\n");
}
