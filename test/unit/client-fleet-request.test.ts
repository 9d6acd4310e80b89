/** One lease asked of several servers: at most one grant is kept, whatever the servers do at whatever moment. */
import { afterEach, describe, expect, it, vi } from "vitest";
import { allocateRequest, type ShareOptions } from "../../client/allocate-options.ts";
import type { QueuePlace } from "../../client/control.ts";
import { Fleet, type FleetGrant } from "../../client/fleet/index.ts";
import { SluiceError } from "../../shared/errors.ts";
import { type AskedLease, FakeServer, GiB } from "../support/fake-server.ts";
import { createRandom } from "../support/random.ts";
import { inTime, waitFor } from "../support/wait-for.ts";

/** Enough for servers that answer, on however busy a machine, and little for those that do not. */
const PATIENCE_MS = 60_000;
const LITTLE_MS = 250;

const servers: FakeServer[] = [];
const fleets: Fleet[] = [];

afterEach(async () => {
  for (const server of servers.splice(0)) server.stop();
  await Promise.all(fleets.splice(0).map((fleet) => fleet.close()));
});

async function start(count: number, explains: FakeServer["explains"]): Promise<FakeServer[]> {
  const started = await Promise.all(Array.from({ length: count }, () => FakeServer.start()));
  for (const server of started) server.explains = explains;
  servers.push(...started);
  return started;
}

interface Asking {
  readonly granted: Promise<FleetGrant>;
  readonly told: string[];
  readonly places: QueuePlace[];
}

function ask(addresses: readonly string[], options: ShareOptions = {}, extra: AskExtra = {}): Asking {
  const told: string[] = [];
  const places: QueuePlace[] = [];
  const [first, ...others] = addresses.map((server) => ({ server }));
  const { patienceMs = PATIENCE_MS, withdrawMs } = extra;
  const tell = (words: string): unknown => told.push(words);
  const fleet = new Fleet([first!, ...others], { tell, outageMs: 0, patienceMs, ...(withdrawMs && { withdrawMs }) });
  fleets.push(fleet);
  const request = allocateRequest({ memory: GiB, ...options }, { leases: extra.leases ?? 1 });
  const granted = fleet.request({ request, signal: extra.signal, onQueued: (place) => places.push(place) });
  granted.catch(() => {});
  return { granted, told, places };
}

interface AskExtra {
  readonly leases?: number;
  readonly signal?: AbortSignal;
  readonly patienceMs?: number;
  readonly withdrawMs?: number;
}

const addressesOf = (list: readonly FakeServer[]): string[] => list.map(({ address }) => address);
const grants = (id: string) => (asked: AskedLease) => asked.grant(id);
/** Waits until each server has been asked, and lets it queue the request under its index. */
async function queueAll(list: readonly FakeServer[]): Promise<AskedLease[]> {
  return await Promise.all(
    list.map(async (server, index) => {
      const asked = await waitFor("the request", () => server.asked[0]);
      asked.queue(`lease-${index}`, index + 1);
      return asked;
    }),
  );
}

const idOf = async ({ granted }: Asking): Promise<string | undefined> =>
  (await inTime("the grant", granted)).granted.lease?.id;

describe("servers that can serve a request now", () => {
  it("are asked one alone: the one on which it leaves the least behind, or with spread the most", async () => {
    const [large, small] = (await start(2, "now")) as [FakeServer, FakeServer];
    [large.freeBytes, small.freeBytes] = [4 * GiB, 2 * GiB];
    large.onAsked = grants("large");
    small.onAsked = grants("small");
    const both = addressesOf([large, small]);
    expect(await idOf(ask(both))).toBe("small");
    expect(large.asked).toEqual([]);
    expect(await idOf(ask(both, { policy: "spread" }))).toBe("large");
    expect(small.asked).toHaveLength(1);
    expect(small.asked[0]!.request.waitMs).toBe(0);
  });

  it("are passed over when they do not keep their word", async () => {
    const [first, second] = (await start(2, "now")) as [FakeServer, FakeServer];
    first.freeBytes = GiB;
    first.onAsked = (asked) => asked.refuse("NO_CAPACITY");
    second.onAsked = grants("second");
    expect(await idOf(ask(addressesOf([first, second])))).toBe("second");
    expect(first.asked).toHaveLength(1);
  });

  it("are passed over when they die on the request, and the user is told", async () => {
    const [first, second] = (await start(2, "now")) as [FakeServer, FakeServer];
    first.freeBytes = GiB;
    first.onAsked = () => first.stop();
    second.onAsked = grants("second");
    const asking = ask(addressesOf([first, second]));
    expect(await idOf(asking)).toBe("second");
    expect(asking.told).toEqual([
      expect.stringMatching(`^The server ${first.address} is left out: it does not answer`),
    ]);
  });

  it("do not wait for one that says nothing, and what that one grants late goes back", async () => {
    const [first, second] = (await start(2, "now")) as [FakeServer, FakeServer];
    first.freeBytes = GiB;
    second.onAsked = grants("second");
    const asking = ask(addressesOf([first, second]), {}, { patienceMs: LITTLE_MS, withdrawMs: PATIENCE_MS });
    expect(await idOf(asking)).toBe("second");
    first.asked[0]!.grant("first");
    await waitFor("the late grant to go back", () => first.releasedIds.includes("first"));
    expect(second.released).toEqual([]);
  });
});

describe("a server that does not answer", () => {
  it("holds up nobody, whether it hangs, is not there or refuses the token, and is told of once", async () => {
    const [good, hangs, refuses] = (await start(3, "now")) as [FakeServer, FakeServer, FakeServer];
    hangs.explains = "hang";
    refuses.explains = new SluiceError("UNAUTHENTICATED", "The token is not known.");
    good.onAsked = grants("good");
    // As long as the others may take to say why, on a busy machine.
    const patienceMs = 8 * LITTLE_MS;
    const asking = ask([...addressesOf([hangs, refuses]), "127.0.0.1:1", good.address], {}, { patienceMs });
    expect(await idOf(asking)).toBe("good");
    expect(hangs.asked).toEqual([]);
    expect(asking.told.sort()).toEqual(
      [
        "The server 127.0.0.1:1 is left out: it does not answer [connect ECONNREFUSED 127.0.0.1:1].",
        `The server ${refuses.address} is left out: The token is not known.`,
      ].sort(),
    );
  });

  it("is named with its reason when no other does either", async () => {
    const [refuses] = (await start(1, new SluiceError("UNAUTHENTICATED", "The token is not known."))) as [FakeServer];
    const asking = ask(["127.0.0.1:1", refuses.address], { wait: "1h" });
    const failure = await asking.granted.catch((error: SluiceError) => error);
    expect(failure).toMatchObject({ code: "UNAUTHENTICATED" });
    expect((failure as SluiceError).message).toContain("127.0.0.1:1: it does not answer [connect ECONNREFUSED");
    expect((failure as SluiceError).message).toContain(`${refuses.address}: The token is not known.`);
    expect(asking.told).toEqual([]);
  });
});

describe("servers without room", () => {
  const full = new SluiceError("NO_CAPACITY", "There is no room now, and the request does not wait.", {
    reasons: [{ device: "null:0", code: "NOT_ENOUGH_MEMORY", message: "Device [null:0] has [0B] free." }],
  });

  it("each say why, and what all say is said once", async () => {
    const all = await start(2, full);
    const failure = await ask(addressesOf(all)).granted.catch((error: SluiceError) => error);
    expect(failure).toMatchObject({ code: "NO_CAPACITY", message: full.message });
    expect((failure as SluiceError).details.reasons).toEqual(
      all.map(({ address }) => ({
        device: `${address}/null:0`,
        code: "NOT_ENOUGH_MEMORY",
        message: `Device [${address}/null:0] has [0B] free.`,
      })),
    );
    expect(all.flatMap(({ asked }) => asked)).toEqual([]);
  });

  it("are the reason when another says nothing, and are told first", async () => {
    const [hangs, busy] = (await start(2, full)) as [FakeServer, FakeServer];
    hangs.explains = "hang";
    const failure = await inTime(
      "the refusal",
      ask(addressesOf([hangs, busy])).granted.catch((error) => error),
    );
    expect(failure).toMatchObject({ code: "NO_CAPACITY" });
    expect(failure.message).toContain(`${hangs.address}: it does not answer [it says nothing].`);
  });

  it("are left alone when they could never serve it", async () => {
    const [never, later] = (await start(2, "later")) as [FakeServer, FakeServer];
    never.explains = new SluiceError("IMPOSSIBLE_REQUEST", "No set of devices could.");
    later.onAsked = grants("later");
    const asking = ask(addressesOf([never, later]), { wait: "1h" });
    expect(await idOf(asking)).toBe("later");
    expect(never.asked).toEqual([]);
    expect(asking.told).toEqual([]);
  });
});

describe("a request that waits", () => {
  it("waits on all servers, is told of as one place, and ends everywhere with the first grant", async () => {
    const all = await start(3, "later");
    const asking = ask(addressesOf(all), { wait: "1h" });
    const queued = await queueAll(all);
    const place = await waitFor("the place", () => asking.places.find((each) => each.servers?.length === 3));
    expect(place.position).toBe(1);
    expect(place.servers).toEqual(
      all.map(({ address }, at) => ({ server: address, name: address, id: `lease-${at}`, position: at + 1 })),
    );
    queued[1]!.grant("lease-1");
    expect(await idOf(asking)).toBe("lease-1");
    await waitFor("the others to be withdrawn", () => queued[0]!.isCancelled && queued[2]!.isCancelled);
    expect(all[1]!.released).toEqual([]);
    expect(new Set(queued.map(({ request }) => request.requestId)).size).toBe(3);
  });

  it("keeps one of two grants of the same moment, and gives the other back before anybody hears", async () => {
    const all = await start(2, "later");
    const asking = ask(addressesOf(all), { wait: "1h" }, { leases: 2 });
    const queued = await queueAll(all);
    // What the second grants is on its way when the first one's grant arrives, or has arrived with it.
    for (const [index, asked] of queued.entries()) asked.grant(`lease-${index}`, [`more-${index}`]);
    const { granted } = await inTime("the grant", asking.granted);
    const kept = Number(granted.lease!.id.at(-1));
    expect(all[kept]!.released).toEqual([]);
    const lost = 1 - kept;
    expect(all[lost]!.releasedIds).toContain(`lease-${lost}`);
  });

  it("gives back what is granted behind its withdrawal, all leases of it", async () => {
    const all = (await start(2, "later")) as [FakeServer, FakeServer];
    const asking = ask(addressesOf(all), { wait: "1h" }, { withdrawMs: PATIENCE_MS });
    await waitFor("both to be asked", () => all.every(({ asked }) => asked.length === 1));
    // The second has said nothing yet: its first word is the grant.
    all[0].asked[0]!.grant("first");
    expect(await idOf(asking)).toBe("first");
    all[1].asked[0]!.grant("second", ["third"]);
    await waitFor("the late grant to go back", () => all[1].released.length === 2);
    expect(all[1].releasedIds.sort()).toEqual(["second", "third"]);
    expect(all[0].released).toEqual([]);
  });

  it("goes on elsewhere when a server dies, and is taken up there under its id when that server is back", async () => {
    const all = (await start(2, "later")) as [FakeServer, FakeServer];
    const asking = ask(addressesOf(all), { wait: "1h" });
    const queued = await queueAll(all);
    await waitFor("the place", () => asking.places.some((each) => each.servers?.length === 2));
    all[0].stop();
    const place = await waitFor("the place elsewhere", () => asking.places.find((each) => each.servers?.length === 1));
    expect(place.servers![0]!.server).toBe(all[1].address);
    const back = await FakeServer.start(all[0].address);
    servers.push(back);
    const again = await waitFor("the request at the server that is back", () => back.asked[0]);
    expect(again.request.requestId).toBe(queued[0]!.request.requestId);
    again.grant("lease-0");
    expect(await idOf(asking)).toBe("lease-0");
    await waitFor("the other to be withdrawn", () => queued[1]!.isCancelled);
  });

  it("is made at a server that was not there when it was asked for elsewhere", async () => {
    const [queuing, late] = (await start(2, "later")) as [FakeServer, FakeServer];
    late.stop();
    const asking = ask(addressesOf([queuing, late]), { wait: "1h" });
    await queueAll([queuing]);
    const back = await FakeServer.start(late.address);
    servers.push(back);
    back.onAsked = grants("late");
    expect(await idOf(asking)).toBe("late");
    expect(asking.told).toEqual([expect.stringMatching(`^The server ${late.address} is left out`)]);
  });

  it("ends with what each says when its wait is over, or when all are gone", async () => {
    const all = (await start(2, "later")) as [FakeServer, FakeServer];
    const asking = ask(addressesOf(all), { wait: "1h" });
    const queued = await queueAll(all);
    queued[0]!.refuse("CANCELLED", "An admin has taken the request out of the queue.");
    queued[1]!.refuse("NO_CAPACITY", "There is no room within the wait of [1h].");
    const failure = await inTime(
      "the end",
      asking.granted.catch((error) => error),
    );
    expect(failure).toMatchObject({ code: "NO_CAPACITY" });
    expect(failure.message).toContain(`${all[0].address}: An admin has taken the request out of the queue.`);
    expect(failure.message).toContain(`${all[1].address}: There is no room within the wait of [1h].`);
  });

  it("is withdrawn everywhere when it is called off, and gives back what came at that moment", async () => {
    const all = (await start(3, "later")) as [FakeServer, FakeServer, FakeServer];
    const controller = new AbortController();
    const asking = ask(addressesOf(all), { wait: "1h" }, { signal: controller.signal });
    await queueAll(all.slice(0, 2));
    await waitFor("the third to be asked", () => all[2].asked.length === 1);
    await waitFor("the place", () => asking.places.some((each) => each.servers?.length === 2));
    controller.abort();
    all[2].asked[0]!.grant("third");
    await expect(inTime("the end", asking.granted)).rejects.toMatchObject({ code: "CANCELLED" });
    await waitFor("the withdrawals", () => all[0].asked[0]!.isCancelled && all[1].asked[0]!.isCancelled);
    await waitFor("the grant to go back", () => all[2].releasedIds.includes("third"));
  });
});

describe("a filter that names a server as the client does", () => {
  it("chooses it, or leaves it out, and does not travel", async () => {
    const [one, other] = (await start(2, "now")) as [FakeServer, FakeServer];
    one.onAsked = grants("one");
    other.onAsked = grants("other");
    const both = addressesOf([one, other]);
    expect(await idOf(ask(both, { filters: [`server.addr=${other.address}`, "device.kind=null"] }))).toBe("other");
    expect(other.asked[0]!.request.filters).toEqual(["device.kind=null"]);
    expect(await idOf(ask(both, { filters: [`server.addr != ${other.address}`] }))).toBe("one");
    // Of names that the client does not know the servers decide.
    await idOf(ask(both, { filters: ["server.addr=10.0.0.1"] }));
    expect([...one.asked, ...other.asked].at(-1)!.request.filters).toBeDefined();
  });
});

/** A whole number from 0 and below `count`. */
const pick = (random: () => number, count: number): number => Math.floor(random() * count);

/** Lets servers do things in the same breath: before any client hears of them. */
class Breath {
  readonly #acts: (() => void)[] = [];
  readonly #timer = setInterval(() => {
    for (const act of this.#acts.splice(0)) act();
  }, 40);

  /** With the next breath, or some later. */
  do(act: () => void, later: number): void {
    this.#acts.push(later === 0 ? act : () => this.do(act, later - 1));
  }

  close(): void {
    clearInterval(this.#timer);
  }
}

/** A server that does something at some time: what it says first, what it says then, and whether it dies. A steady one grants in the end. */
async function unruly(
  random: () => number,
  { name, breath, isSteady }: { name: string; breath: Breath; isSteady: boolean },
): Promise<FakeServer> {
  const server = await FakeServer.start();
  servers.push(server);
  const never = new SluiceError("IMPOSSIBLE_REQUEST", "Never.");
  server.explains = (["now", "later", "later", "later", "hang", never] as const)[pick(random, isSteady ? 4 : 6)]!;
  server.onAsked = (asked) => {
    const id = `${name}-${server.asked.length}`;
    const does = pick(random, isSteady ? 5 : 7);
    if (does < 3) asked.queue(id);
    const act = (): void => {
      if (does === 6) asked.refuse("NO_CAPACITY");
      else if (does === 5) server.stop();
      else if (asked.grant(id)) server.grantedIds.push(id);
    };
    breath.do(act, pick(random, 3));
  };
  return server;
}

/** Of servers that do as the seed says, and of a client that may be called off: what was kept, and by which servers it was granted. */
async function attack(seed: number): Promise<{ readonly kept: string | undefined; readonly grants: number }> {
  const random = createRandom(seed);
  const names = Array.from({ length: 2 + pick(random, 4) }, (_, index) => `lease-${seed}-${index}`);
  const breath = new Breath();
  const all = await Promise.all(names.map((name, index) => unruly(random, { name, breath, isSteady: index === 0 })));
  const controller = new AbortController();
  const wait = pick(random, 4) === 0 ? 0 : "1h";
  const asking = ask(addressesOf(all), { wait }, { signal: controller.signal, patienceMs: LITTLE_MS });
  if (pick(random, 4) === 0) setTimeout(() => controller.abort(), pick(random, 600));
  const granted = await asking.granted.catch(() => undefined);
  const kept = granted?.granted.lease?.id;
  // One that has died holds nothing.
  const alive = all.filter(({ isStopped }) => !isStopped);
  await waitFor(`all grants but one to be back (seed ${seed})`, () =>
    alive.every(({ grantedIds, releasedIds }) => grantedIds.every((id) => id === kept || releasedIds.includes(id))),
  );
  breath.close();
  expect(all.flatMap(({ releasedIds }) => releasedIds)).not.toContain(kept);
  return { kept, grants: all.flatMap(({ grantedIds }) => grantedIds).length };
}

it("at most one grant is kept and none is lost, whatever servers and client do at whatever moment", async () => {
  const outcomes: Awaited<ReturnType<typeof attack>>[] = [];
  // A grant has to be heard within half a second of its request being called off: not all at once on a busy machine.
  for (let seed = 0; seed < 40; seed += 10)
    outcomes.push(...(await Promise.all(Array.from({ length: 10 }, (_, index) => attack(seed + index)))));
  expect(outcomes.filter(({ kept }) => kept !== undefined).length).toBeGreaterThan(10);
  expect(outcomes.filter(({ kept }) => kept === undefined).length).toBeGreaterThan(3);
  // There were races to lose.
  expect(outcomes.filter(({ grants }) => grants > 1).length).toBeGreaterThan(0);
});

it("one server alone is first asked for all of the wait, however slow the client is", async () => {
  const [server] = (await start(1, "later")) as [FakeServer];
  let lateMs = 0;
  const now = performance.now.bind(performance);
  // Seven milliseconds go by between any two looks at the clock.
  const slow = vi.spyOn(performance, "now").mockImplementation(() => {
    lateMs += 7;
    return now() + lateMs;
  });
  try {
    const { granted } = ask([server.address], { wait: "200ms" });
    await waitFor("the request", () => server.asked.length === 1);
    expect(Number(server.asked[0]!.request.waitMs)).toBe(200);
    server.asked[0]!.refuse("NO_CAPACITY");
    await expect(granted).rejects.toMatchObject({ code: "NO_CAPACITY" });
  } finally {
    slow.mockRestore();
  }
});
