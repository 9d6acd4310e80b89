/** The worlds that the simulator runs, and the bugs planted in them that its checks must find. */
import type { PoolDevice } from "../../server/pool/types.ts";
import { bytes, device, fraction, GiB, MiB } from "./scenario.ts";
import { type Faults, noFaults, type WorldOptions } from "./world.ts";

type Plan = Omit<WorldOptions, "seed">;

const faults: Faults = {
  messageLost: 0.02,
  messageTwice: 0.03,
  daemonDies: 0.001,
  executorDies: 0.03,
  clientDies: 0.02,
  storeFails: 0.01,
  clockJumps: 0.0002,
};

const tenants = [
  { name: "ada", weight: 1, clients: 9 },
  { name: "bob", weight: 1, clients: 9 },
  { name: "cyd", weight: 2, clients: 9 },
];

/** Durations and sizes with a heavy tail, between 1 and `most`. */
const heavy = (random: () => number, most: number): number => Math.min(most, (1 - random()) ** -0.8);

const mixed: PoolDevice[] = [
  device("a0", { server: "a", links: { a1: 4 } }),
  device("a1", { server: "a", links: { a0: 4 } }),
  device("a2", { server: "a", overheadBytes: 300 * MiB }),
  device("a3", { server: "a", memoryBytes: 8 * GiB, labels: { worn: "" }, taints: ["worn"] }),
  device("b0", { server: "b", sharing: { mode: "exclusive" } }),
  device("b1", { server: "b", sharing: { mode: "profile", profileBytes: 4 * GiB } }),
  device("b2", { server: "b", sharing: { mode: "profile", profileBytes: 2 * GiB }, overheadBytes: 100 * MiB }),
];

/** Everything that the pool does, and everything that can go wrong. */
const everything: Plan = {
  devices: mixed,
  pool: { preemption: true, preemptionGraceMs: 5_000, passesMax: 4, idleMs: 3_600_000, endNoticeMs: 1_000 },
  tenants,
  faults,
  adminMs: 10_000,
  restMs: 4_000,
  firstWaitMsMax: 0,
  wish: (random) => {
    const workMs = 500 * heavy(random, 200);
    const isExclusive = random() < 0.05;
    const isProfile = !isExclusive && random() < 0.1;
    const isLarge = random() < 0.1;
    const fields = {
      share: isLarge ? fraction(random() < 0.5 ? 1 : 0.5) : bytes(Math.ceil(heavy(random, 12) * 0.4 * GiB)),
      count: !isExclusive && !isProfile && random() < 0.1 ? 2 : 1,
      priority: Math.floor(random() * 3) - 1,
      waitMs: random() < 0.1 ? 0 : Math.ceil(random() * 300_000),
      ...(isExclusive ? { mode: "exclusive" as const } : {}),
      ...(isProfile ? { mode: "profile" as const, share: bytes(GiB) } : {}),
      ...(random() < 0.1 ? { leases: 2 + Math.floor(random() * 3) } : {}),
      ...(random() < 0.1 ? { sameDevice: true } : {}),
      ...(random() < 0.5 ? { durationMs: Math.ceil(workMs * (0.8 + random())) } : {}),
      ...(random() < 0.1 ? { policy: "topology" as const } : {}),
      ...(random() < 0.1 ? { policy: "spread" as const } : {}),
      ...(random() < 0.2 ? { tolerate: ["worn"] } : {}),
      ...(random() < 0.3 ? { compute: Math.ceil(random() * 600) } : {}),
      ...(random() < 0.05 ? { filters: ["device.id=a1"] } : {}),
    };
    return { fields, workMs };
  },
};

/** Who is pushed aside comes back: leases of lower priority are suspended, and admins suspend some, too. */
const suspending: Plan = {
  ...everything,
  pool: { ...everything.pool, preemption: "suspend", suspensionRestMs: 10_000 },
  adminMs: 5_000,
};

const four = ["d0", "d1", "d2", "d3"].map((id) => device(id));

/** Small leases without a known end press on big ones: the first of the queue must still be served in time. */
const crowded: Plan = {
  devices: four,
  pool: { passesMax: 8 },
  tenants,
  faults: { ...noFaults, messageLost: 0.01, messageTwice: 0.01, clientDies: 0.005 },
  restMs: 1_000,
  // The longest work, the time-out of a client that died, the passes, and some seconds for messages and kills.
  firstWaitMsMax: 2 * 60_000 + 30_000 + 30_000,
  wish: (random) => {
    const isBig = random() < 0.05;
    const fields = isBig
      ? { share: fraction(1), count: 2, waitMs: 3_000_000 }
      : { share: fraction(0.25), waitMs: 3_000_000 };
    return { fields, workMs: 1_000 * heavy(random, 60) };
  },
};

/** Tenants of different weights want more than there is, all the time: each gets its share, in its order. */
const fair: Plan = {
  devices: four,
  pool: { usageHalfLifeMs: 600_000 },
  tenants: [
    { name: "ada", weight: 1, clients: 6 },
    { name: "bob", weight: 1, clients: 8 },
    { name: "cyd", weight: 2, clients: 10 },
    { name: "dan", weight: 4, clients: 14 },
  ],
  faults: noFaults,
  restMs: 100,
  firstWaitMsMax: 0,
  wish: (random) => {
    const quarters = 1 + Math.floor(random() * 2);
    return { fields: { share: fraction(quarters / 4), waitMs: 86_400_000 }, workMs: 2_000 * heavy(random, 20) };
  },
};

/** Names of the worlds; each takes its part of the events. */
export const plans = { everything, suspending, crowded, fair } as const satisfies Record<string, Plan>;

/** Bugs, and the world in which each must be found. */
export const canaries = [
  { bug: "memory is granted again before its executor is dead", plan: { ...everything, plant: "early-reclaim" } },
  {
    bug: "what a slice sheds is granted before its executor has let go",
    plan: { ...everything, plant: "early-shrink" },
  },
  { bug: "a device loses a byte now and then", plan: { ...everything, plant: "lost-bytes" } },
  {
    bug: "what a lease gives back is granted before its executor has saved it",
    plan: { ...suspending, plant: "early-parked" },
  },
  { bug: "the end of a lease moves, and nobody looks what that means", plan: { ...everything, plant: "unseen-end" } },
  { bug: "a device promises more time than it has", plan: { ...everything, plant: "lost-promise" } },
  { bug: "a lease is granted twice", plan: { ...crowded, plant: "double-grant" } },
  { bug: "nothing is kept for the first request, and all may pass it", plan: { ...crowded, plant: "endless-passing" } },
] as const satisfies readonly { bug: string; plan: Plan }[];
