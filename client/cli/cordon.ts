/** `sluice cordon` and `sluice uncordon`: close a device for new leases, and open it again. */
import type { Command } from "commander";
import { admin } from "../control.ts";
import { ADMINS_ALONE, addServerOption, DEVICE_ARGUMENT, type ServerOptions } from "./options.ts";
import { print } from "./output.ts";
import { actOn, things } from "./servers.ts";

export function addCordonCommands(program: Command): void {
  const cordon = program
    .command("cordon")
    .description("close a device for new leases; what runs there runs on (admin)")
    .argument("<device>", DEVICE_ARGUMENT)
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
  cordon.action(async (name: string, options: ServerOptions & { readonly message?: string }) => {
    const thing = { name, kind: things.device };
    const message = options.message ?? "";
    await actOn(options, thing, (control, deviceId) => control.ask(admin.Cordon, { deviceId, message }));
    print(`The device ${name} takes no new leases.`);
  });

  const uncordon = program
    .command("uncordon")
    .description("open a device again (admin)")
    .argument("<device>", DEVICE_ARGUMENT);
  addServerOption(uncordon).addHelpText(
    "after",
    `
It ends a drain of the device, too.
${ADMINS_ALONE}

Examples:
  sluice uncordon cuda:0`,
  );
  uncordon.action(async (name: string, options: ServerOptions) => {
    const thing = { name, kind: things.device };
    await actOn(options, thing, (control, deviceId) => control.ask(admin.Uncordon, { deviceId }));
    print(`The device ${name} takes new leases.`);
  });
}
