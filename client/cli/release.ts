/** `sluice release`: ends a lease now. */
import type { Command } from "commander";
import { SluiceError } from "../../shared/errors.ts";
import type { LeaseKey } from "../control.ts";
import { LEASE_VARIABLE, parseLeaseKeys } from "../environment.ts";
import { onOwner } from "../fleet/index.ts";
import { addJsonOption, addServerOption, type JsonOptions, type ServerOptions } from "./options.ts";
import { print, printJson, usageText } from "./output.ts";
import { things, withFleet } from "./servers.ts";

export function addReleaseCommand(program: Command): void {
  const command = program
    .command("release")
    .description("end a lease now")
    .argument("[id]", `the lease; without it what ${LEASE_VARIABLE} has`);
  addJsonOption(addServerOption(command));
  command.addHelpText(
    "after",
    `
Releasing a lease that has ended already succeeds.

Examples:
  sluice release lease-3f9c2a
  sluice leases --json | jq -r '.leases[].id' | xargs -n1 sluice release`,
  );
  command.action(async (id: string | undefined, options: ServerOptions & JsonOptions) => {
    const leases = leasesToRelease(id);
    await withFleet(options, async (fleet) => {
      const outcomes = [];
      for (const lease of leases) {
        const thing = { name: lease.leaseId, kind: things.lease };
        const { answer } = await onOwner(fleet, thing, (control, leaseId) => control.release({ ...lease, leaseId }));
        const { released, usage } = answer;
        outcomes.push({ leaseId: lease.leaseId, released, usage });
        if (options.json) continue;
        if (!released) print(`The lease ${lease.leaseId} had ended before.`);
        else print(`The lease ${lease.leaseId} is released${usage === null ? "" : `: ${usageText(usage)}`}.`);
      }
      if (options.json) printJson(outcomes.length === 1 ? outcomes[0] : { leases: outcomes });
    });
  });
}

/** The secret goes along where the environment has it: it proves the right to release without a token. */
function leasesToRelease(
  id: string | undefined,
): readonly { readonly leaseId: string; readonly secret?: Uint8Array }[] {
  const variable = process.env[LEASE_VARIABLE];
  const own: readonly LeaseKey[] = variable ? parseLeaseKeys(variable) : [];
  if (id !== undefined) return [own.find(({ leaseId }) => leaseId === id) ?? { leaseId: id }];
  if (own.length === 0) throw new SluiceError("NO_LEASE", `No lease is named, and ${LEASE_VARIABLE} is not set.`);
  return own;
}
