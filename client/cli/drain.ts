/** `sluice drain`: empties a device, after a notice to all that runs there. */
import { type Command, Option } from "commander";
import { ADMINS_ALONE, addServerOption, DEVICE_ARGUMENT, readDuration, type ServerOptions } from "./options.ts";
import { note, print } from "./output.ts";
import { actOn, things } from "./servers.ts";
import { exitOfSignal, onStopSignal, type StopSignal } from "./signals.ts";

interface DrainOptions extends ServerOptions {
  readonly grace: number;
  readonly message?: string;
}

export function addDrainCommand(program: Command): void {
  const command = program
    .command("drain")
    .description("empty a device: cordon it, give what runs there notice, wait until it is gone (admin)")
    .argument("<device>", DEVICE_ARGUMENT)
    .addOption(
      new Option("--grace <duration>", "how long its leases still have, like 10m")
        .argParser(readDuration)
        .default(30_000, "30s"),
    )
    .option("--message <text>", "why, for their holders and for those who wait");
  addServerOption(command).addHelpText(
    "after",
    `
Ends when no lease is left on the device; it stays closed, also over a restart,
until \`sluice uncordon\`. Stopping this command does not stop the drain, lifting
the cordon does.
${ADMINS_ALONE}

Examples:
  sluice drain cuda:0 --grace 10m --message "new fan on Tuesday"`,
  );
  command.action((name: string, { grace, message = "", ...options }: DrainOptions) =>
    actOn(options, { name, kind: things.device }, async (control, deviceId) => {
      const controller = new AbortController();
      let stopped: StopSignal | undefined;
      const stopListening = onStopSignal((signal) => {
        stopped ??= signal;
        controller.abort(new Error(signal));
      });
      try {
        const onLeft = (ids: readonly string[]): void => {
          if (ids.length > 0) note(`Left on ${name}: ${ids.join(", ")}.`);
        };
        await control.drain({ deviceId, graceMs: grace, message }, { onLeft, signal: controller.signal });
      } catch (error) {
        throw stopped === undefined ? error : exitOfSignal(stopped);
      } finally {
        stopListening();
      }
      print(`The device ${name} is empty, and takes no new leases.`);
    }),
  );
}
