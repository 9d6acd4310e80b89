/** `sluice audit`: what admins have done, and who was refused, from the servers' audit logs. */
import type { Command } from "commander";
import type { Event__Output as Event } from "../../proto/generated/sluice/v1/Event.ts";
import { admin } from "../control.ts";
import {
  addJsonOption,
  addServerOption,
  type JsonOptions,
  READERS_ALONE,
  readCount,
  readTime,
  type ServerOptions,
} from "./options.ts";
import { print, printJson, terminalWidth } from "./output.ts";
import { itemsOf, serversTable, withFleet, withServers } from "./servers.ts";
import { type Column, formatTable } from "./table.ts";

interface AuditOptions extends ServerOptions, JsonOptions {
  readonly since?: number;
  readonly until?: number;
  readonly tenant?: string;
  readonly action?: string;
  readonly limit: number;
}

const columns: readonly Column[] = [
  { title: "TIME" },
  { title: "WHO", shrinkTo: 8 },
  { title: "FROM", shrinkTo: 9 },
  { title: "ACTION" },
  { title: "OUTCOME" },
  { title: "DETAILS", isBelow: true },
];

export function addAuditCommand(program: Command): void {
  const command = program
    .command("audit")
    .description("show what admins have done, and who was refused (admin, monitor)")
    .option("--since <time>", "not before this time, like 2026-01-31 or 7d", readTime)
    .option("--until <time>", "before this time", readTime)
    .option("--tenant <name>", "only by this tenant's tokens")
    .option("--action <name>", "only this action, such as Cordon or CreateToken")
    .option("--limit <count>", "at most so many, the newest", readCount, 100);
  addJsonOption(addServerOption(command));
  command.addHelpText(
    "after",
    `
The newest comes first. An outcome is OK or the code of an error; INTERRUPTED
means that the server died in the action.
${READERS_ALONE}

Examples:
  sluice audit --since 1d
  sluice audit --action Revoke --json | jq -r '.events[].details'`,
  );
  command.action(async (options: AuditOptions) => {
    await withFleet(options, async (fleet) => {
      const answers = await fleet.each((control) =>
        control.ask(admin.ListEvents, {
          fromAtMs: options.since ?? 0,
          toAtMs: options.until ?? 0,
          tenant: options.tenant ?? "",
          action: options.action ?? "",
          limit: options.limit,
        }),
      );
      const all = itemsOf(answers, ({ events }) => events);
      const items = all.sort((a, b) => b.item.atMs - a.item.atMs).slice(0, options.limit || all.length);
      if (options.json) printJson({ events: withServers(items) });
      else if (items.length === 0) print("No events.");
      else print(formatTable(...serversTable(fleet, { columns, items, row }), terminalWidth()));
    });
  });
}

const row = (event: Event): string[] => [
  new Date(event.atMs).toISOString().slice(0, 19).replace("T", " "),
  event.tenant === "" ? "-" : `${event.tenant}${event.tokenId === "" ? "" : ` (${event.tokenId})`}`,
  // Nobody looks for a port; --json has it.
  event.address.replace(/:\d+$/, "") || "the server",
  event.action,
  event.outcome || "under way",
  [event.details === "{}" ? "" : event.details, event.message].filter((text) => text !== "").join(" "),
];
