/** `sluice suspend` and `sluice resume`: leases give their memory back for a while, and get it again. */
import type { Command } from "commander";
import type { Suspension__Output as Suspension } from "../../proto/generated/sluice/v1/Suspension.ts";
import { SluiceError } from "../../shared/errors.ts";
import { emptyCopy } from "../../shared/pool-copy.ts";
import { formatSizeRounded } from "../../shared/units.ts";
import type { Control } from "../control.ts";
import { LEASE_VARIABLE, parseLeaseKeys } from "../environment.ts";
import { onOwner } from "../fleet/index.ts";
import { stateText } from "./leases.ts";
import { addJsonOption, addServerOption, type JsonOptions, type ServerOptions } from "./options.ts";
import { note, print, printJson } from "./output.ts";
import { describePlace } from "./place.ts";
import { poolAfter, type WatchedPool } from "./pool-picture.ts";
import { things, withFleet } from "./servers.ts";
import { onStopSignal } from "./signals.ts";

const WATCH_INTERVAL_MS = 250;

interface SuspendOptions extends ServerOptions, JsonOptions {
  readonly reason?: string;
}

interface ResumeOptions extends ServerOptions, JsonOptions {
  readonly wait?: boolean;
}

export function addSuspendCommands(program: Command): void {
  const suspend = program
    .command("suspend")
    .description("let running leases give their memory back for a while; their programs wait")
    .argument("<id...>", "the leases")
    .option("--reason <text>", "why, for their holders");
  addJsonOption(addServerOption(suspend)).addHelpText(
    "after",
    `
What the lease has in its devices' memory is saved on the server's host, and
whoever waits can have the room. Its program notices nothing but time. A tenant
may suspend leases of its own; what an admin suspends, an admin resumes.

Examples:
  sluice suspend lease-3f9c2a --reason "back after lunch"
  sluice resume lease-3f9c2a --wait`,
  );
  suspend.action((ids: string[], { reason = "", ...options }: SuspendOptions) =>
    withFleet(options, async (fleet) => {
      const outcomes = [];
      for (const name of ids) {
        const lease = { name, kind: things.lease };
        const { answer } = await onOwner(fleet, lease, (control, id) => control.suspend(keyOf(id), reason));
        outcomes.push({ leaseId: name, suspension: answer.suspension });
        if (!options.json) print(`The lease ${name} is suspended${savedText(answer.suspension)}.`);
      }
      if (options.json) printJson(outcomes.length === 1 ? outcomes[0] : { leases: outcomes });
    }),
  );

  const resume = program
    .command("resume")
    .description("let suspended leases go on as soon as there is room")
    .argument("<id...>", "the leases")
    .option("--wait", "until they do");
  addJsonOption(addServerOption(resume)).addHelpText(
    "after",
    `
A lease goes on with the same devices, the same addresses and every byte. Until
they have room it waits in the queue, in the place of its own request.

Examples:
  sluice resume lease-3f9c2a
  sluice leases --json | jq -r '.leases[] | select(.state == "suspended").id' |
    xargs sluice resume --wait`,
  );
  resume.action((ids: string[], options: ResumeOptions) =>
    withFleet(options, async (fleet) => {
      const outcomes = [];
      const told = (id: string): void => (options.json ? undefined : print(`The lease ${id} goes on.`));
      for (const name of ids) {
        const lease = { name, kind: things.lease };
        const { control, answer } = await onOwner(fleet, lease, (owner, id) => owner.resume(keyOf(id)));
        outcomes.push({ leaseId: name, ...answer });
        const isHere = answer.position === 0;
        if (!options.json && !isHere) (options.wait ? note : print)(`${name}: ${describePlace(answer)}`);
        if (options.wait) await untilRunning(control, name.slice(name.lastIndexOf("/") + 1));
        if (options.wait || isHere) told(name);
      }
      if (options.json) printJson(outcomes.length === 1 ? outcomes[0] : { leases: outcomes });
    }),
  );
}

/** The secret goes along where the environment has it: it proves the right without a token. */
function keyOf(leaseId: string): { readonly leaseId: string; readonly secret?: Uint8Array } {
  const variable = process.env[LEASE_VARIABLE];
  const own = variable ? parseLeaseKeys(variable) : [];
  return own.find((key) => key.leaseId === leaseId) ?? { leaseId };
}

function savedText(suspension: Suspension | null): string {
  const { savedBytes = 0, keptBytes = 0 } = suspension ?? {};
  const saved = savedBytes === 0 ? "" : `, ${formatSizeRounded(savedBytes)} of it saved`;
  return keptBytes === 0 ? saved : `${saved}, ${formatSizeRounded(keptBytes)} kept for its modules`;
}

/** Follows the pool until the lease is not suspended any more. Throws LEASE_ENDED when it ends meanwhile, CANCELLED at a signal to stop. */
async function untilRunning(control: Control, id: string): Promise<void> {
  const controller = new AbortController();
  const stopListening = onStopSignal(() => controller.abort());
  let copy: WatchedPool = emptyCopy;
  let outcome: "runs" | "ends" | undefined;
  try {
    await control.watchPool(
      { intervalMs: WATCH_INTERVAL_MS },
      {
        signal: controller.signal,
        onChange: (change) => {
          copy = poolAfter(copy, change);
          const lease = copy.leases.get(id);
          if (lease === undefined || stateText(lease) === "ending") outcome = "ends";
          else if (lease.suspension === null) outcome = "runs";
          if (outcome !== undefined) controller.abort();
        },
      },
    );
  } finally {
    stopListening();
  }
  if (outcome === "ends") throw new SluiceError("LEASE_ENDED", `The lease [${id}] has ended.`, { leaseId: id });
  if (outcome === undefined)
    throw new SluiceError("CANCELLED", `Nobody waits for the lease [${id}] any more; it goes on all the same.`);
}
