/** A pool for tests written as stories: short words for events, everything audited. */
import { createPool, decide, findLease, nextDeadline, type PoolState } from "../../server/pool/pool.ts";
import type { Effect, Lease, PoolDevice, PoolEvent, PoolOptions, PoolRequest } from "../../server/pool/types.ts";
import { Auditor } from "./auditor.ts";

export const MiB = 1024 * 1024;
export const GiB = 1024 * MiB;

/** A device of 16 GiB in steps of 2 MiB, unless said otherwise. */
export const device = (id: string, fields: Partial<PoolDevice> = {}): PoolDevice => ({
  id,
  memoryBytes: 16 * GiB,
  granularityBytes: 2 * MiB,
  overheadBytes: 0,
  sliceBytesMax: fields.memoryBytes ?? 16 * GiB,
  ...fields,
});

export class Scenario {
  readonly pool: PoolState;
  readonly auditor: Auditor;
  now = 1_000_000;

  constructor(devices: readonly PoolDevice[], options: PoolOptions = {}) {
    this.pool = createPool(options);
    this.auditor = new Auditor(this.pool);
    for (const spec of devices) this.send({ kind: "deviceAdded", device: spec });
  }

  send(event: PoolEvent): readonly Effect[] {
    const effects = decide(this.pool, event, this.now);
    this.auditor.observe(event, effects, this.now);
    return effects;
  }

  /** Time passes, with a tick whenever the pool wants one. */
  later(milliseconds: number): readonly Effect[] {
    const until = this.now + milliseconds;
    const effects: Effect[] = [];
    for (let next = nextDeadline(this.pool); next !== undefined && next < until; next = nextDeadline(this.pool)) {
      effects.push(...this.jump(next - this.now));
    }
    return [...effects, ...this.jump(until - this.now)];
  }

  /** Time passes without the pool being asked meanwhile. */
  jump(milliseconds: number): readonly Effect[] {
    this.now += milliseconds;
    return this.send({ kind: "tick" });
  }

  /** A request for a whole device that waits for a minute, unless said otherwise. */
  request(id: string, fields: Partial<PoolRequest> = {}): readonly Effect[] {
    const share = { kind: "fraction", fraction: 1 } as const;
    return this.send({
      kind: "requested",
      request: { id, tenant: "ada", name: "job", share, count: 1, waitMs: 60_000, ...fields },
    });
  }

  /** A lease that is granted at once and confirmed. */
  lease(id: string, fields: Partial<PoolRequest> = {}): Lease {
    this.request(id, fields);
    this.send({ kind: "grantConfirmed", id });
    const lease = findLease(this.pool, id);
    if (lease === undefined) throw new Error(`Request ${id} is not granted.`);
    return lease;
  }

  /** The lease's end, from release to the return of its memory. */
  end(id: string): readonly Effect[] {
    return [...this.send({ kind: "released", id }), ...this.send({ kind: "reclaimed", id })];
  }
}

export const bytes = (count: number): PoolRequest["share"] => ({ kind: "bytes", bytes: count });
export const fraction = (part: number): PoolRequest["share"] => ({ kind: "fraction", fraction: part });

/** Ids that the effects grant, in order. */
export const grantsOf = (effects: readonly Effect[]): string[] =>
  effects.flatMap((effect) => (effect.kind === "granted" ? [effect.lease.id] : []));
