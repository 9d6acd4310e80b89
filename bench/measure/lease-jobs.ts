/** Jobs of a worker that holds many leases at once. */
import { allocateRequest } from "../../client/allocate-options.ts";
import type { Control, LeaseKey } from "../../client/control.ts";
import type { Lease } from "../../client/index.ts";
import { openControl, openLease, type Target } from "./target.ts";

const MEMORY = "1MiB";
/** Requests under way at once. */
const PARALLEL = 32;

let control: Control | undefined;
const detached: LeaseKey[] = [];
const attached: Lease[] = [];

const connected = (target: Target): Control => {
  control ??= openControl(target);
  return control;
};

async function grant(target: Target): Promise<LeaseKey> {
  const request = allocateRequest({ memory: MEMORY, durationMax: "1h", sameDevice: true }, { detached: true });
  const { lease, secret } = await connected(target).allocate(request, {});
  if (lease === null) throw new Error("The server grants without a lease.");
  return { leaseId: lease.id, secret };
}

/** Runs `count` times `run`, a few at once. */
async function many(count: number, parallel: number, run: () => Promise<void>): Promise<void> {
  let left = count;
  const lane = async (): Promise<void> => {
    while (left-- > 0) await run();
  };
  await Promise.all(Array.from({ length: parallel }, lane));
}

/** Holds more leases without a session; returns how many there are. */
export async function hold({ target, count }: { target: Target; count: number }): Promise<number> {
  await many(count, PARALLEL, async () => {
    detached.push(await grant(target));
  });
  return detached.length;
}

/** Attaches more leases, which then do nothing; returns how many there are. */
export async function attach({ target, count }: { target: Target; count: number }): Promise<number> {
  await many(count, 2, async () => {
    attached.push((await openLease(connected(target), target, { memory: MEMORY })).lease);
  });
  return attached.length;
}

/** Allocates and releases at a steady rate; the nanoseconds that each pair took. */
export async function churn(options: { target: Target; perSecond: number; seconds: number }): Promise<number[]> {
  const { target, perSecond, seconds } = options;
  const times: number[] = [];
  const pairs: Promise<void>[] = [];
  const pair = async (): Promise<void> => {
    const start = process.hrtime.bigint();
    const key = await grant(target);
    await connected(target).release(key);
    times.push(Number(process.hrtime.bigint() - start));
  };
  const startedAt = performance.now();
  for (let index = 0; index < perSecond * seconds; index++) {
    const dueMs = startedAt + (index * 1000) / perSecond - performance.now();
    if (dueMs > 0) await new Promise((resolve) => setTimeout(resolve, dueMs));
    pairs.push(pair());
  }
  await Promise.all(pairs);
  return times;
}

/** Gives everything back. */
export async function releaseAll(_options: object): Promise<void> {
  const server = control;
  if (server === undefined) return;
  await Promise.all(attached.splice(0).map((lease) => lease.release()));
  await many(detached.length, PARALLEL, async () => {
    const key = detached.pop();
    if (key !== undefined) await server.release(key);
  });
  server.close();
  control = undefined;
}
