/**
 * A day's work for a pool, and how well several ways of placing it do. The trace: arrivals as a Poisson process whose rate changes
 * over the day, sizes from the few that people ask for and a heavy tail between them, durations log-normal over four orders of
 * magnitude, one request in twenty for several whole devices. What published traces of GPU clusters agree on, and no trace in particular.
 */
import { createPool, decide } from "../../server/pool/pool.ts";
import type { PoolDevice, PoolOptions, PoolRequest } from "../../server/pool/types.ts";
import { createRandom } from "./random.ts";

const GiB = 1024 ** 3;
const MINUTE_MS = 60_000;
const DEVICE_BYTES = 80 * GiB;
const DEVICES_PER_SERVER = 8;
const UNIT_BYTES = 2 * 1024 ** 2;

export interface Job {
  readonly at: number;
  readonly bytes: number;
  readonly count: number;
  readonly workMs: number;
  /** Whether the request says how long it lasts at most. */
  readonly isBounded: boolean;
}

/** What became of a trace. */
export interface Quality {
  /** Memory held from the first arrival to the last, as a part of all. What runs out behind it says nothing about placement. */
  readonly utilisation: number;
  /** Free memory while somebody waits, as a part of all: what fragmentation and order cost. */
  readonly stranded: number;
  readonly waitMeanMs: number;
  /** Of requests for several whole devices. */
  readonly waitOfLargestMs: number;
}

const normal = (random: () => number): number =>
  Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());

function sizeOf(random: () => number): number {
  const common = [4, 8, 10, 16, 20, 24, 40, 80];
  if (random() < 0.5) return common[Math.floor(random() * common.length)]! * GiB;
  const heavy = Math.min(DEVICE_BYTES, 0.75 * GiB * (1 - random()) ** -0.9);
  return Math.ceil(heavy / UNIT_BYTES) * UNIT_BYTES;
}

/** `load`: the work that arrives, as a part of what the devices could do. */
export function makeTrace(options: {
  readonly seed: number;
  readonly jobs: number;
  readonly devices: number;
  readonly load: number;
}): Job[] {
  const random = createRandom(options.seed);
  const shapes = Array.from({ length: options.jobs }, () => {
    const isWide = random() < 0.05;
    const workMs = Math.min(
      24 * 60 * MINUTE_MS,
      Math.max(5_000, Math.round(10 * MINUTE_MS * Math.exp(1.4 * normal(random)))),
    );
    const isBounded = random() < 0.5;
    return {
      bytes: isWide ? DEVICE_BYTES : sizeOf(random),
      count: isWide ? 2 ** (1 + Math.floor(random() * 3)) : 1,
      workMs,
      isBounded,
    };
  });
  const work = shapes.reduce((sum, shape) => sum + shape.bytes * shape.count * shape.workMs, 0);
  const spanMs = work / (options.devices * DEVICE_BYTES * options.load);
  let at = 0;
  return shapes.map((shape) => {
    const daily = 1 + 0.5 * Math.sin((2 * Math.PI * at) / spanMs);
    at += (-Math.log(1 - random()) * spanMs) / options.jobs / daily;
    return { at: Math.round(at), ...shape };
  });
}

/** Something that grants jobs: tells by index which ones start at an arrival or an end. */
interface Placer {
  arrive(index: number, job: Job, now: number): number[];
  end(index: number, now: number): number[];
  freeBytes(): number;
}

/** Plays a trace and measures. */
export function play(trace: readonly Job[], devices: number, makePlacer: (devices: number) => Placer): Quality {
  const placer = makePlacer(devices);
  const capacity = devices * DEVICE_BYTES;
  const ends: { at: number; index: number }[] = [];
  const waiting = new Set<number>();
  const waits: number[] = [];
  const largest: number[] = [];
  let last = trace[0]?.at ?? 0;
  const began = last;
  let held = 0;
  let idle = 0;
  let waited = 0;
  const closes = trace.at(-1)?.at ?? 0;
  const advance = (now: number): void => {
    const free = placer.freeBytes();
    const elapsed = Math.max(0, Math.min(now, closes) - last);
    held += (capacity - free) * elapsed;
    if (waiting.size > 0) {
      idle += free * elapsed;
      waited += elapsed;
    }
    last = now;
  };
  const start = (indexes: readonly number[], now: number): void => {
    for (const index of indexes) {
      const job = trace[index]!;
      waiting.delete(index);
      waits.push(now - job.at);
      if (job.count > 1) largest.push(now - job.at);
      const entry = { at: now + job.workMs, index };
      let at = ends.length;
      while (at > 0 && ends[at - 1]!.at < entry.at) at--;
      ends.splice(at, 0, entry);
    }
  };
  let next = 0;
  while (next < trace.length || ends.length > 0) {
    const end = ends.at(-1);
    const job = trace[next];
    if (job !== undefined && (end === undefined || job.at <= end.at)) {
      advance(job.at);
      waiting.add(next);
      start(placer.arrive(next, job, job.at), job.at);
      next++;
    } else {
      advance(end!.at);
      ends.pop();
      start(placer.end(end!.index, end!.at), end!.at);
    }
  }
  if (waiting.size > 0) throw new Error(`[${waiting.size}] jobs of the trace never start.`);
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
  return {
    utilisation: held / (capacity * (closes - began)),
    stranded: waited === 0 ? 0 : idle / (capacity * waited),
    waitMeanMs: mean(waits),
    waitOfLargestMs: mean(largest),
  };
}

/**
 * More than any order of placing could use between the first arrival and the last: up to any moment no more than what has arrived by
 * then, and no more than everything afterwards.
 */
export function offlineBound(trace: readonly Job[], devices: number): number {
  const capacity = devices * DEVICE_BYTES;
  const began = trace[0]!.at;
  const closes = trace.at(-1)!.at;
  let arrived = 0;
  let most = capacity * (closes - began);
  for (const job of trace) {
    most = Math.min(most, arrived + capacity * (closes - job.at));
    arrived += job.bytes * job.count * Math.min(job.workMs, closes - job.at);
  }
  return Math.min(most, arrived) / (capacity * (closes - began));
}

/** The pool itself. */
export const sluice =
  (fields: Partial<PoolRequest>, options: PoolOptions = {}) =>
  (devices: number): Placer => {
    const pool = createPool(options);
    for (let index = 0; index < devices; index++) {
      const device: PoolDevice = {
        id: `d${index}`,
        server: `s${Math.floor(index / DEVICES_PER_SERVER)}`,
        memoryBytes: DEVICE_BYTES,
        granularityBytes: UNIT_BYTES,
        overheadBytes: 0,
        sliceBytesMax: DEVICE_BYTES,
      };
      decide(pool, { kind: "deviceAdded", device }, 0);
    }
    let free = devices * DEVICE_BYTES;
    const jobs = new Map<number, Job>();
    const granted = (effects: ReturnType<typeof decide>): number[] =>
      effects.flatMap((effect) => {
        if (effect.kind !== "granted") return [];
        const job = jobs.get(Number(effect.lease.id))!;
        free -= job.bytes * job.count;
        return [Number(effect.lease.id)];
      });
    return {
      arrive(index, job, now) {
        jobs.set(index, job);
        const request: PoolRequest = {
          id: String(index),
          tenant: "everyone",
          name: "",
          share: { kind: "bytes", bytes: job.bytes },
          count: job.count,
          waitMs: 2e9,
          detached: true,
          // A job without a bound of its own gets one that says nothing.
          durationMs: job.isBounded ? Math.ceil(job.workMs * 1.2) : 1e12,
          ...fields,
        };
        return granted(decide(pool, { kind: "requested", request }, now));
      },
      end(index, now) {
        const job = jobs.get(index)!;
        free += job.bytes * job.count;
        decide(pool, { kind: "released", id: String(index) }, now);
        return granted(decide(pool, { kind: "reclaimed", id: String(index) }, now));
      },
      freeBytes: () => free,
    };
  };

/** A textbook queue: the first that has room, or the fullest; strictly in order, or whoever fits. */
export const textbook =
  (fit: "first" | "best", order: "strict" | "greedy") =>
  (devices: number): Placer => {
    const free = new Array<number>(devices).fill(DEVICE_BYTES);
    const queue: { index: number; job: Job }[] = [];
    const held = new Map<number, { devices: number[]; bytes: number }>();
    const place = (job: Job): number[] | undefined => {
      let best: { chosen: number[]; left: number } | undefined;
      for (let server = 0; server < devices; server += DEVICES_PER_SERVER) {
        const room = [];
        for (let at = server; at < Math.min(devices, server + DEVICES_PER_SERVER); at++)
          if (free[at]! >= job.bytes) room.push(at);
        if (room.length < job.count) continue;
        if (fit === "best") room.sort((a, b) => free[a]! - free[b]!);
        const chosen = room.slice(0, job.count);
        if (fit === "first") return chosen;
        const left = chosen.reduce((sum, at) => sum + free[at]! - job.bytes, 0);
        if (best === undefined || left < best.left) best = { chosen, left };
      }
      return best?.chosen;
    };
    const serve = (): number[] => {
      const started: number[] = [];
      for (let at = 0; at < queue.length; ) {
        const { index, job } = queue[at]!;
        const chosen = place(job);
        if (chosen === undefined) {
          if (order === "strict") return started;
          at++;
          continue;
        }
        for (const device of chosen) free[device]! -= job.bytes;
        held.set(index, { devices: chosen, bytes: job.bytes });
        queue.splice(at, 1);
        started.push(index);
      }
      return started;
    };
    return {
      arrive(index, job) {
        queue.push({ index, job });
        return serve();
      },
      end(index) {
        const { devices: places, bytes } = held.get(index)!;
        for (const device of places) free[device]! += bytes;
        held.delete(index);
        return serve();
      },
      freeBytes: () => free.reduce((sum, bytes) => sum + bytes, 0),
    };
  };
