/** `sluice cordon` and `sluice uncordon`: close a device for new leases, and open it again. */
import type { Command } from "commander";
import { admin } from "../control.ts";
import { ADMINS_ALONE, addServerOption, type ServerOptions, withControl } from "./options.ts";
import { print } from "./output.ts";

export function addCordonCommands(program: Command): void {
  const cordon = program
    .command("cordon")
    .description("close a device for new leases; what runs there runs on (admin)")
    .argument("<device>", "its id, such as cuda:0")
    .option("--message <text>", "why, for those who wait");
  addServerOption(cordon).addHelpText(
    "after",
    `
It outlives a restart of the server.
${ADMINS_ALONE}

Examples:
  sluice cordon cuda:0 --message "new fan on Tuesday"
  sluice uncordon cuda:0`,
  );
  cordon.action(async (deviceId: string, options: ServerOptions & { readonly message?: string }) => {
    await withControl(options, (control) => control.ask(admin.Cordon, { deviceId, message: options.message ?? "" }));
    print(`The device ${deviceId} takes no new leases.`);
  });

  const uncordon = program
    .command("uncordon")
    .description("open a device again (admin)")
    .argument("<device>", "its id, such as cuda:0");
  addServerOption(uncordon).addHelpText(
    "after",
    `
It ends a drain of the device, too.
${ADMINS_ALONE}

Examples:
  sluice uncordon cuda:0`,
  );
  uncordon.action(async (deviceId: string, options: ServerOptions) => {
    await withControl(options, (control) => control.ask(admin.Uncordon, { deviceId }));
    print(`The device ${deviceId} takes new leases.`);
  });
}
