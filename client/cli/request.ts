/** `sluice request`: a lease that outlives the command, for a shell or for jobs that share it. */
import type { Command } from "commander";
import { allocateRequest } from "../allocate-options.ts";
import { formatLeaseKeys, LEASE_VARIABLE, SERVER_VARIABLE } from "../environment.ts";
import { checkCount, type GrantedLease, type GrantedLeases, leasesOf } from "./granted.ts";
import { stateText } from "./leases.ts";
import {
  addJsonOption,
  addRequestOptions,
  addServerOption,
  type JsonOptions,
  readLifetime,
  type ServerOptions,
  type ShareFlags,
  shareOf,
} from "./options.ts";
import { note, print, printJson, sizeText } from "./output.ts";
import { tellWaiting } from "./place.ts";
import { withFleet } from "./servers.ts";
import { interruptible } from "./signals.ts";

interface RequestOptions extends ServerOptions, JsonOptions, ShareFlags {
  readonly for: number;
  readonly export?: true;
}

export function addRequestCommand(program: Command): void {
  const command = program.command("request").description("allocate a lease that is kept for a while without a program");
  addRequestOptions(command)
    .requiredOption("--for <duration>", "how long the lease is kept, like 2h", readLifetime)
    .option("--export", "print lines for the shell's eval");
  addJsonOption(addServerOption(command));
  command.addHelpText(
    "after",
    `
The lease ends after --for, or with \`sluice release ID\`. Its secret is shown
once, here. With --processes it is several leases, granted together, and
\`sluice release\` ends all that ${LEASE_VARIABLE} has.

Examples:
  sluice request -m 4GiB --for 2h
  eval "$(sluice request -p 0.25 --for 30m --export)"
  node fit.js; sluice release`,
  );
  command.action(request);
}

async function request(options: RequestOptions): Promise<void> {
  const { processes } = options;
  const wanted = allocateRequest(
    { ...shareOf(options), durationMax: options.for },
    { detached: true, leases: processes },
  );
  await withFleet(options, (fleet) =>
    interruptible((signal) => fleet.request({ request: wanted, signal, ...tellWaiting }), {
      finish: async ({ control, granted }) => {
        const grant = leasesOf(granted);
        await checkCount(control, grant, processes);
        show(grant, { ...options, address: control.address });
      },
      // Asked to stop at the last moment: nobody would know of the leases.
      undo: async ({ control, granted }) => {
        await Promise.all(leasesOf(granted).leases.map(({ key }) => control.release(key)));
      },
    }),
  );
}

function show({ leases, warnings }: GrantedLeases, options: RequestOptions & { readonly address: string }): void {
  const environment = {
    [LEASE_VARIABLE]: formatLeaseKeys(leases.map(({ key }) => key)),
    [SERVER_VARIABLE]: options.address,
  };
  const lines = Object.entries(environment).map(([name, value]) => `export ${name}=${quoted(value)}`);
  const summaries = leases.map(({ lease }) => summaryOf(lease)).join("\n");
  for (const warning of warnings) note(warning);
  if (options.json) {
    const [first, ...others] = leases.map(({ lease }) => ({ ...lease, state: stateText(lease) }));
    printJson({ lease: first, ...(others.length === 0 ? {} : { others }), environment, server: options.address });
  } else if (options.export) {
    for (const { lease } of leases) note(summaryOf(lease));
    print(lines.join("\n"));
  } else {
    const ids = leases.map(({ lease }) => `  sluice release ${lease.id}`).join("\n");
    print(
      `${summaries}\n\nTo work under ${leases.length === 1 ? "it" : "them"}:\n  ${lines.join("\n  ")}\nTo end ${leases.length === 1 ? "it" : "them"} before:\n${ids}`,
    );
  }
}

function summaryOf(lease: GrantedLease["lease"]): string {
  const slices = lease.slices.map((slice) => `${sizeText(slice.memoryBytes)} of ${slice.deviceId}`).join(", ");
  return `Lease ${lease.id}: ${slices}, until ${new Date(lease.endsAtMs).toISOString()}.`;
}

/** For a POSIX shell. */
const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
