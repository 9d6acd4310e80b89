/** `sluice revoke`: takes a lease back from its holder, after a notice and a grace. */
import { type Command, Option } from "commander";
import { admin } from "../control.ts";
import {
  ADMINS_ALONE,
  addJsonOption,
  addServerOption,
  type JsonOptions,
  readDuration,
  type ServerOptions,
} from "./options.ts";
import { print, printJson } from "./output.ts";
import { actOn, things } from "./servers.ts";

interface RevokeOptions extends ServerOptions, JsonOptions {
  readonly grace: number;
  readonly message?: string;
}

export function addRevokeCommand(program: Command): void {
  const command = program
    .command("revoke")
    .description("take a lease back, after a notice (admin)")
    .argument("<id>", "the lease")
    .addOption(
      new Option("--grace <duration>", "how long it still has, like 30s")
        .argParser(readDuration)
        .default(30_000, "30s"),
    )
    .option("--message <text>", "why, for its holder");
  addJsonOption(addServerOption(command));
  command.addHelpText(
    "after",
    `
Its holder is told at once.
${ADMINS_ALONE}

Examples:
  sluice revoke lease-3f9c2a --grace 5m --message "the machine moves"
  sluice leases --json | jq -r '.leases[].id' | xargs -n1 sluice revoke`,
  );
  command.action(async (leaseId: string, { grace, message = "", ...options }: RevokeOptions) => {
    const { endsAtMs } = await actOn(options, { name: leaseId, kind: things.lease }, (control, id) =>
      control.ask(admin.Revoke, { leaseId: id, graceMs: grace, message }),
    );
    if (options.json) printJson({ leaseId, endsAtMs });
    else print(`The lease ${leaseId} ends by ${new Date(endsAtMs).toISOString()}.`);
  });
}
