/** `sluice extend`: moves the end of a lease later. */
import type { Command } from "commander";
import {
  ADMINS_ALONE,
  addJsonOption,
  addServerOption,
  type JsonOptions,
  readLifetime,
  type ServerOptions,
} from "./options.ts";
import { print, printJson } from "./output.ts";
import { actOn, things } from "./servers.ts";

interface ExtendOptions extends ServerOptions, JsonOptions {
  readonly by: number;
}

export function addExtendCommand(program: Command): void {
  const command = program
    .command("extend")
    .description("move the end of a lease later (admin)")
    .argument("<id>", "the lease")
    .requiredOption("--by <duration>", "how much later, like 2h", readLifetime);
  addJsonOption(addServerOption(command));
  command.addHelpText(
    "after",
    `
The end of its duration, or of the grace after a notice. Its holder is told.
${ADMINS_ALONE}

Examples:
  sluice extend lease-3f9c2a --by 2h`,
  );
  command.action(async (leaseId: string, { by, ...options }: ExtendOptions) => {
    const { endsAtMs } = await actOn(options, { name: leaseId, kind: things.lease }, (control, id) =>
      control.extend({ leaseId: id, byMs: by }),
    );
    if (options.json) printJson({ leaseId, endsAtMs });
    else print(`The lease ${leaseId} ends by ${new Date(endsAtMs).toISOString()}.`);
  });
}
