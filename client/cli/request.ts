/** `sluice request`: a lease that outlives the command, for a shell or for jobs that share it. */
import type { Command } from "commander";
import type { Granted__Output as Granted } from "../../proto/generated/sluice/v1/Granted.ts";
import { SluiceError } from "../../shared/errors.ts";
import { allocateRequest } from "../allocate-options.ts";
import { formatLeaseKeys, LEASE_VARIABLE, SERVER_VARIABLE } from "../environment.ts";
import { stateText } from "./leases.ts";
import {
  addJsonOption,
  addRequestOptions,
  addServerOption,
  type JsonOptions,
  readDuration,
  type ServerOptions,
  type ShareFlags,
  shareOf,
  withControl,
} from "./options.ts";
import { note, print, printJson, sizeText } from "./output.ts";
import { tellWaiting } from "./place.ts";
import { interruptible } from "./signals.ts";

interface RequestOptions extends ServerOptions, JsonOptions, ShareFlags {
  readonly for: number;
  readonly export?: true;
}

export function addRequestCommand(program: Command): void {
  const command = program.command("request").description("allocate a lease that is kept for a while without a program");
  addRequestOptions(command)
    .requiredOption("--for <duration>", "how long the lease is kept, like 2h", readDuration)
    .option("--export", "print lines for the shell's eval");
  addJsonOption(addServerOption(command));
  command.addHelpText(
    "after",
    `
The lease ends after --for, or with \`sluice release ID\`. Its secret is shown
once, here.

Examples:
  sluice request -m 4GiB --for 2h
  eval "$(sluice request -p 0.25 --for 30m --export)"
  node fit.js; sluice release`,
  );
  command.action(request);
}

async function request(options: RequestOptions): Promise<void> {
  if (options.for === 0)
    throw new SluiceError("BAD_ARGUMENT", "A lease without heartbeats is kept for [0]: that is no time.");
  const wanted = allocateRequest({ ...shareOf(options), durationMax: options.for }, { detached: true });
  await withControl(options, (control) =>
    interruptible((signal) => control.allocate(wanted, { signal, ...tellWaiting }), {
      finish: async (granted) => show(granted, { ...options, server: control.address }),
      // Asked to stop at the last moment: nobody would know of the lease.
      undo: async ({ lease, secret }) => {
        await control.release({ leaseId: lease?.id ?? "", secret });
      },
    }),
  );
}

function show({ lease, secret, warnings }: Granted, options: RequestOptions & { readonly server: string }): void {
  if (lease === null) throw new SluiceError("INTERNAL", "The server grants without a lease.");
  const environment = {
    [LEASE_VARIABLE]: formatLeaseKeys([{ leaseId: lease.id, secret }]),
    [SERVER_VARIABLE]: options.server,
  };
  const lines = Object.entries(environment).map(([name, value]) => `export ${name}=${quoted(value)}`);
  const slices = lease.slices.map((slice) => `${sizeText(slice.memoryBytes)} of ${slice.deviceId}`).join(", ");
  const summary = `Lease ${lease.id}: ${slices}, until ${new Date(lease.endsAtMs).toISOString()}.`;
  for (const warning of warnings) note(warning);
  if (options.json) printJson({ lease: { ...lease, state: stateText(lease) }, environment });
  else if (options.export) {
    note(summary);
    print(lines.join("\n"));
  } else {
    print(`${summary}\n\nTo work under it:\n  ${lines.join("\n  ")}\nTo end it before:\n  sluice release ${lease.id}`);
  }
}

/** For a POSIX shell. */
const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
