/** `sluice quota`: shows what tenants may have, and sets it. */
import type { Command } from "commander";
import type { Quota__Output as Quota } from "../../proto/generated/sluice/v1/Quota.ts";
import type { Tenant__Output as Tenant } from "../../proto/generated/sluice/v1/Tenant.ts";
import { SluiceError } from "../../shared/errors.ts";
import { type Priority, priorityFields } from "../allocate-options.ts";
import { admin, type Control } from "../control.ts";
import type { Fleet, FromServer } from "../fleet/index.ts";
import {
  ADMINS_ALONE,
  addJsonOption,
  addServerOption,
  type JsonOptions,
  readCount,
  readLifetime,
  readPriority,
  readSize,
  type ServerOptions,
} from "./options.ts";
import { durationText, print, printJson, sizeText, terminalWidth } from "./output.ts";
import { changeEach, type Item, itemsOf, serversTable, withFleet, withServers } from "./servers.ts";
import { type Column, formatTable } from "./table.ts";

interface QuotaOptions extends ServerOptions, JsonOptions {
  readonly memory?: number;
  readonly devices?: number;
  readonly leases?: number;
  readonly requests?: number;
  readonly duration?: number;
  readonly priority?: Priority;
  readonly weight?: string;
  readonly none?: true;
}

const columns: readonly Column[] = [
  { title: "TENANT", shrinkTo: 6 },
  { title: "WEIGHT", align: "right" },
  { title: "MEMORY", align: "right" },
  { title: "SLICES", align: "right" },
  { title: "LEASES", align: "right" },
  { title: "WAITING", align: "right" },
  { title: "LONGEST", align: "right" },
  { title: "PRIORITY", align: "right" },
];

export function addQuotaCommand(program: Command): void {
  const command = program
    .command("quota")
    .description("show what tenants may have, or set it (admin)")
    .argument("[tenant]", "the tenant to set it for")
    .option("--memory <size>", "bytes held at once, overhead included", readSize)
    .option("--devices <count>", "slices held at once", readCount)
    .option("--leases <count>", "leases held at once", readCount)
    .option("--requests <count>", "requests waiting at once", readCount)
    .option("--duration <duration>", "the longest lease", readLifetime)
    .option("--priority <priority>", "the highest priority of a request", readPriority)
    .option("--weight <number>", "weight in the fair share, at first 1")
    .option("--none", "no bounds at all");
  addJsonOption(addServerOption(command));
  command.addHelpText(
    "after",
    `
Shows what is held of what is allowed. With a tenant it sets the quota as a
whole: a bound that is not named is lifted. It takes effect at once, takes
nothing away from anybody, and outlives a restart. Of several servers it sets
it on each, and each counts for itself; --server names one.
${ADMINS_ALONE} Reading takes a monitor's token too.

Examples:
  sluice quota
  sluice quota local --memory 40GiB --leases 4 --duration 8h
  sluice quota local --none`,
  );
  command.action(async (tenant: string | undefined, options: QuotaOptions) => {
    const isSet = isSetting(options);
    if (isSet && tenant === undefined)
      throw new SluiceError("BAD_ARGUMENT", "A quota is set for a tenant, and none is named.");
    await withFleet(options, async (fleet) => {
      const show = (answers: readonly FromServer<readonly Tenant[]>[]): void => {
        const all = itemsOf(answers, (tenants) => tenants);
        const shown = tenant === undefined ? all : all.filter(({ item }) => item.name === tenant);
        if (shown.length > 0 || options.json) showTenants(fleet, shown, options);
        else if (tenant === undefined) print("No tenants yet.");
        else print(`The tenant ${tenant} has borrowed nothing yet, and has no quota.`);
      };
      const list = async (control: Control) => (await control.ask(admin.ListQuotas, {})).tenants;
      if (tenant === undefined || !isSet) return show(await fleet.each(list));
      const change = changeOf(tenant, options);
      await changeEach(fleet, async (control) => change(control).then(() => list(control)), show);
    });
  });
}

function showTenants(fleet: Fleet, items: readonly Item<Tenant>[], { json }: JsonOptions): void {
  if (json) printJson({ tenants: withServers(items).map((each) => ({ ...each, quota: boundsOf(each.quota) })) });
  else print(formatTable(...serversTable(fleet, { columns, items, row }), terminalWidth()));
}

/** Bounds that are given. */
function quotaOf({ memory, devices, leases, requests, duration, priority }: QuotaOptions): Quota {
  const highest = priority === undefined ? {} : priorityFields(priority);
  const bounds = { memoryBytes: memory, devices, leases, requests, durationMs: duration, ...highest };
  return Object.fromEntries(Object.entries(bounds).filter(([, bound]) => bound !== undefined));
}

/** The bounds alone: gRPC's loader names beside each which of them are set. */
const boundsOf = (quota: Quota | null): Quota =>
  Object.fromEntries(Object.entries(quota ?? {}).filter(([name]) => !name.startsWith("_")));

const isSetting = (options: QuotaOptions): boolean =>
  options.none !== undefined || options.weight !== undefined || Object.keys(quotaOf(options)).length > 0;

/** What sets the quota on one server. */
function changeOf(tenant: string, options: QuotaOptions): (control: Control) => Promise<void> {
  const quota = quotaOf(options);
  const bounded = Object.keys(quota).length > 0;
  if (bounded && options.none) throw new SluiceError("BAD_ARGUMENT", "A quota has bounds or none, and both are given.");
  const weight = options.weight === undefined ? 0 : Number(options.weight);
  if (options.weight !== undefined && !(/^[\d.]+$/.test(options.weight) && weight > 0)) {
    throw new SluiceError("BAD_ARGUMENT", `A weight is a number above 0, and [${options.weight}] is not.`);
  }
  return async (control) => {
    // A new weight alone leaves the bounds as they are.
    const kept = bounded || options.none ? quota : await quotaNow(control, tenant);
    await control.ask(admin.SetQuota, { tenant, quota: kept, weight });
  };
}

async function quotaNow(control: Control, tenant: string): Promise<Quota> {
  const { tenants } = await control.ask(admin.ListQuotas, {});
  return tenants.find(({ name }) => name === tenant)?.quota ?? {};
}

/** What is held, of what is allowed. */
const ofBound = (held: string | number, bound: string | number | undefined): string =>
  bound === undefined ? String(held) : `${held} of ${bound}`;

function row({ name, weight, quota, heldBytes, devices, leases, waiting }: Tenant): string[] {
  const { memoryBytes, durationMs, priority, ...bounds } = quota ?? {};
  return [
    name,
    String(weight),
    ofBound(sizeText(heldBytes), memoryBytes === undefined ? undefined : sizeText(memoryBytes)),
    ofBound(devices, bounds.devices),
    ofBound(leases, bounds.leases),
    ofBound(waiting, bounds.requests),
    durationMs === undefined ? "-" : durationText(durationMs),
    priority === undefined ? "-" : String(priority),
  ];
}
