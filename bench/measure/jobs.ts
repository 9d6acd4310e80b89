/**
 * What a worker can measure, with the built client as users have it. One worker holds one lease at a time. Times are
 * nanoseconds by `process.hrtime`; each job returns every sample, and the case makes the summary.
 */
import { allocateRequest } from "../../client/allocate-options.ts";
import type { Control } from "../../client/control.ts";
import type { Lease } from "../../client/index.ts";
import * as calls from "../../client/measure/calls.ts";
import * as leaseJobs from "./lease-jobs.ts";
import * as messageJobs from "./message-jobs.ts";
import * as shareJobs from "./share-jobs.ts";
import * as suspensionJobs from "./suspension-jobs.ts";
import { openControl, openLease, type Target, type TransportName } from "./target.ts";
import * as trainingJobs from "./training-jobs.ts";

interface Held {
  readonly control: Control;
  readonly lease: Lease;
  readonly launcher: calls.Launcher;
}

let held: Held | undefined;

function current(): Held {
  if (held === undefined) throw new Error("The worker holds no lease.");
  return held;
}

async function open({ target, memory }: { target: Target; memory: string }): Promise<void> {
  const control = openControl(target);
  const { lease } = await openLease(control, target, { memory });
  held = { control, lease, launcher: await calls.loadLauncher(lease.devices[0]) };
}

/** The kinds of endpoints that the server offers this client. */
async function transports({ target }: { target: Target }): Promise<TransportName[]> {
  const control = openControl(target);
  try {
    const granted = await control.allocate(allocateRequest({ memory: "1GiB" }), {});
    const { lease, connection, secret } = granted;
    if (lease === null || connection === null) throw new Error("The server grants without a lease.");
    await control.release({ leaseId: lease.id, secret });
    const offers = (name: TransportName): boolean =>
      connection.dataEndpoints.some((endpoint) => endpoint.startsWith(`${name}:`));
    return (["tcp", "unix"] as const).filter(offers);
  } finally {
    control.close();
  }
}

async function close(_options: object): Promise<void> {
  const { lease, control } = current();
  held = undefined;
  await lease.release();
  control.close();
}

type OptionsOf<Measure extends (subject: never, options: never) => unknown> = Parameters<Measure>[1];

const roundTrips = (options: OptionsOf<typeof calls.roundTrips>) => calls.roundTrips(current().launcher.gpu, options);
const copies = (options: OptionsOf<typeof calls.copies>) => calls.copies(current().launcher.gpu, options);
const issue = (options: OptionsOf<typeof calls.issue>) => calls.issue(current().launcher, options);
const batches = (options: OptionsOf<typeof calls.batches>) => calls.batches(current().launcher, options);
const flood = (options: OptionsOf<typeof calls.flood>) => calls.flood(current().launcher, options);

interface AllocationTimes {
  readonly grant: number[];
  readonly attach: number[];
  readonly firstResult: number[];
  readonly release: number[];
}

/** From the request to the first result that came back, and its parts. `pauseMs` lets the server warm its next executor. */
async function allocations(options: {
  target: Target;
  rounds: number;
  warmup: number;
  pauseMs: number;
}): Promise<AllocationTimes> {
  const { target } = options;
  const control = openControl(target);
  const times: AllocationTimes = { grant: [], attach: [], firstResult: [], release: [] };
  try {
    await control.listDevices();
    for (let round = -options.warmup; round < options.rounds; round++) {
      await new Promise((resolve) => setTimeout(resolve, options.pauseMs));
      const start = process.hrtime.bigint();
      const { lease, grantNs, attachNs } = await openLease(control, target, { memory: "1GiB" });
      await lease.devices[0].upload(Float32Array.of(1)).read(Float32Array);
      const firstResult = calls.since(start);
      const release = process.hrtime.bigint();
      await lease.release();
      if (round < 0) continue;
      times.release.push(calls.since(release));
      times.firstResult.push(firstResult);
      times.grant.push(grantNs);
      times.attach.push(attachNs);
    }
  } finally {
    control.close();
  }
  return times;
}

export const jobs = {
  open,
  close,
  roundTrips,
  issue,
  batches,
  flood,
  copies,
  allocations,
  transports,
  ...leaseJobs,
  ...messageJobs,
  ...suspensionJobs,
  ...shareJobs,
  ...trainingJobs,
} as const;

export type Jobs = typeof jobs;
export type JobName = keyof Jobs;
export type JobOptions<Name extends JobName> = Parameters<Jobs[Name]>[0];
export type JobResult<Name extends JobName> = Awaited<ReturnType<Jobs[Name]>>;
