/** `sluice quota`: shows what tenants may have, and sets it. */
import type { Command } from "commander";
import type { Quota__Output as Quota } from "../../proto/generated/sluice/v1/Quota.ts";
import type { Tenant__Output as Tenant } from "../../proto/generated/sluice/v1/Tenant.ts";
import { SluiceError } from "../../shared/errors.ts";
import { type Priority, priorityFields } from "../allocate-options.ts";
import { admin, type Control } from "../control.ts";
import {
  ADMINS_ALONE,
  addJsonOption,
  addServerOption,
  type JsonOptions,
  readCount,
  readDuration,
  readPriority,
  readSize,
  type ServerOptions,
  withControl,
} from "./options.ts";
import { durationText, print, printJson, sizeText, terminalWidth } from "./output.ts";
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
    .option("--duration <duration>", "the longest lease", readDuration)
    .option("--priority <priority>", "the highest priority of a request", readPriority)
    .option("--weight <number>", "weight in the fair share, at first 1")
    .option("--none", "no bounds at all");
  addJsonOption(addServerOption(command));
  command.addHelpText(
    "after",
    `
Shows what is held of what is allowed. With a tenant it sets the quota as a
whole: a bound that is not named is lifted. It takes effect at once, takes
nothing away from anybody, and outlives a restart.
${ADMINS_ALONE} Reading takes a monitor's token too.

Examples:
  sluice quota
  sluice quota local --memory 40GiB --leases 4 --duration 8h
  sluice quota local --none`,
  );
  command.action(async (tenant: string | undefined, options: QuotaOptions) => {
    const quota = quotaOf(options);
    if (tenant !== undefined) await set(tenant, { quota, options });
    else if (isSetting(options))
      throw new SluiceError("BAD_ARGUMENT", "A quota is set for a tenant, and none is named.");
    const { tenants } = await withControl(options, (control) => control.ask(admin.ListQuotas, {}));
    const shown = tenants.filter(({ name }) => tenant === undefined || name === tenant);
    if (options.json) printJson({ tenants: shown.map((each) => ({ ...each, quota: boundsOf(each.quota) })) });
    else if (shown.length === 0) print("No tenants yet.");
    else print(formatTable(columns, shown.map(row), terminalWidth()));
  });
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

async function set(
  tenant: string,
  { quota, options }: { readonly quota: Quota; readonly options: QuotaOptions },
): Promise<void> {
  if (!isSetting(options)) return;
  const bounded = Object.keys(quota).length > 0;
  if (bounded && options.none) throw new SluiceError("BAD_ARGUMENT", "A quota has bounds or none, and both are given.");
  const weight = options.weight === undefined ? 0 : Number(options.weight || Number.NaN);
  if (options.weight !== undefined && !(weight > 0)) {
    throw new SluiceError("BAD_ARGUMENT", `A weight is a number above 0, and [${options.weight}] is not.`);
  }
  await withControl(options, async (control) => {
    // A new weight alone leaves the bounds as they are.
    const kept = bounded || options.none ? quota : await quotaNow(control, tenant);
    await control.ask(admin.SetQuota, { tenant, quota: kept, weight });
  });
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
