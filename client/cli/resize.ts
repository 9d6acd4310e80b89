/** `sluice resize`: gives a slice of a running lease another size. */
import { type Command, Option } from "commander";
import { sizeInBytes } from "../allocate-options.ts";
import { LEASE_VARIABLE, parseLeaseKeys } from "../environment.ts";
import {
  addJsonOption,
  addServerOption,
  type JsonOptions,
  readCount,
  readSize,
  type ServerOptions,
} from "./options.ts";
import { print, printJson, sizeText } from "./output.ts";
import { actOn, things } from "./servers.ts";

interface ResizeOptions extends ServerOptions, JsonOptions {
  readonly device: number;
  readonly lease?: string;
}

export function addResizeCommand(program: Command): void {
  const command = program
    .command("resize")
    .description("give a slice of a running lease another size")
    .argument("<id>", "the lease")
    .argument("<size>", "the slice's new size, like 8GiB", readSize)
    .option("--device <index>", "which of the lease's slices, from 0", readCount, 0)
    .addOption(
      new Option("--lease <id:secret>", "the lease's secret, where it is another's").env(LEASE_VARIABLE).hideHelp(),
    );
  addJsonOption(addServerOption(command)).addHelpText(
    "after",
    `
Growing needs room on the device. A slice that a program is attached to shrinks
only by that program's own gpu.resize(): it alone knows what it uses.

Examples:
  sluice resize lease-3f9c2a 8GiB
  sluice resize lease-3f9c2a 2GiB --device 1`,
  );
  command.action(async (leaseId: string, memoryBytes: number, { device, lease, json, ...options }: ResizeOptions) => {
    const known = lease ? parseLeaseKeys(lease) : [];
    const { slice } = await actOn(options, { name: leaseId, kind: things.lease }, (control, id) => {
      const key = known.find((each) => each.leaseId === id) ?? { leaseId: id };
      return control.resize(key, { index: device, memoryBytes: sizeInBytes(memoryBytes), yielded: false });
    });
    if (json) printJson({ leaseId, slice });
    else if (slice !== null) print(`The lease ${leaseId} has ${sizeText(slice.memoryBytes)} of ${slice.deviceId}.`);
  });
}
