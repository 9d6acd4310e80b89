/** `sluice cancel` and `sluice priority`: what an admin does to a request that waits. */
import type { Command } from "commander";
import { type Priority, priorityFields } from "../allocate-options.ts";
import { admin } from "../control.ts";
import { ADMINS_ALONE, addServerOption, readPriority, type ServerOptions } from "./options.ts";
import { print } from "./output.ts";
import { actOn, things } from "./servers.ts";

export function addQueuedCommands(program: Command): void {
  const cancel = program
    .command("cancel")
    .description("take a waiting request out of the queue (admin)")
    .argument("<id>", "the request, as `sluice leases` shows it")
    .option("--message <text>", "why, for whoever waits");
  addServerOption(cancel).addHelpText(
    "after",
    `
Whoever waits for it is told, and gets no lease.
${ADMINS_ALONE}

Examples:
  sluice cancel lease-3f9c2a --message "ask again on Monday"`,
  );
  cancel.action(async (name: string, { message = "", ...options }: ServerOptions & { readonly message?: string }) => {
    const thing = { name, kind: things.lease };
    await actOn(options, thing, (control, id) => control.ask(admin.CancelQueued, { id, message }));
    print(`The request ${name} waits no more.`);
  });

  const priority = program
    .command("priority")
    .description("change the priority of a waiting request (admin)")
    .argument("<id>", "the request, as `sluice leases` shows it")
    .argument("<priority>", "low, normal, high, or -100 to 100", readPriority);
  addServerOption(priority).addHelpText(
    "after",
    `
It moves at once to where the new priority puts it.
${ADMINS_ALONE}

Examples:
  sluice priority lease-3f9c2a high
  sluice priority lease-3f9c2a -- -20`,
  );
  priority.action(async (name: string, wanted: Priority, options: ServerOptions) => {
    const terms = priorityFields(wanted);
    const { position } = await actOn(options, { name, kind: things.lease }, (control, id) =>
      control.ask(admin.SetPriority, { id, ...terms }),
    );
    print(
      position === 0 ? `The request ${name} is granted.` : `The request ${name} is at place ${position} of the queue.`,
    );
  });
}
