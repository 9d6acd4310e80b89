/** Many clients at once that come, work and go in every way there is, by a seed: afterwards the pool adds up, and nobody lives. */
import { expect, test } from "vitest";
import { childrenOf, executorChildrenOf, isAlive, killIfThere } from "../support/processes.ts";
import { createRandom } from "../support/random.ts";
import { ARENA, callsFrame, GiB, MiB, RawControl, type RawLease, RawSession, raw } from "../support/raw-client.ts";
import { startServer } from "../support/server.ts";
import { waitFor } from "../support/wait-for.ts";

const CLIENTS = 8;
/** Each way to end comes twice and more. */
const ROUNDS = 2;
const seed = Number(process.env["SEED"] ?? 20_261_122);

const endings = [
  "release",
  "goodbye and release",
  "vanish",
  "break the format",
  "lose the executor",
  "stop in a call",
] as const;

test(`clients that end in every way leave nothing behind [SEED=${seed}]`, async () => {
  await using server = await startServer({
    spares: 1,
    args: ["--device", "null:2x16GiB", "--heartbeat-timeout", "4s"],
  });
  const control = new RawControl(server.grpc);
  const random = createRandom(seed);
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)]!;
  const order = endings.map((ending) => ({ ending, at: random() })).sort((a, b) => a.at - b.at);
  let ended = 0;

  /** Gives the lease back in one of the ways; the heartbeat's time-out does the rest. */
  async function finish(ending: (typeof endings)[number], lease: RawLease, session: RawSession): Promise<void> {
    switch (ending) {
      case "release":
        await control.release(lease.id, lease.secret);
        return;
      case "goodbye and release":
        await session.close();
        await control.release(lease.id, lease.secret);
        return;
      case "vanish":
        session.connection.destroy();
        return;
      case "break the format":
        session.connection.send(Buffer.alloc(64, 0xff));
        expect(["PROTOCOL_ERROR", "EXECUTOR_FAILED", undefined]).toContain(await session.connection.refusal());
        return;
      case "lose the executor": {
        const victim = pick(executorChildrenOf(server.pid));
        // Another client may have ended it meanwhile.
        if (victim !== undefined) killIfThere(victim);
        session.connection.destroy();
        return;
      }
      case "stop in a call":
        session.connection.socket.end(callsFrame(raw.memoryInfo()).subarray(0, 20));
        return;
    }
  }

  async function live(): Promise<void> {
    for (let round = 0; round < ROUNDS; round++) {
      const { ending } = order[ended++ % order.length]!;
      try {
        const lease = await control.allocate({
          devices: 1 + Math.floor(random() * 2),
          memoryBytes: Math.ceil(random() * 6 * GiB),
          waitMs: 45_000,
        });
        const hold = control.hold(lease, 200);
        try {
          const session = await RawSession.open(server.data, lease);
          await session.ask(raw.attach());
          const data = Buffer.alloc(1 + Math.floor(random() * MiB), round);
          session.send(raw.allocate(ARENA, MiB), raw.copyToDevice(ARENA, data));
          expect((await session.read(ARENA, data.length)).equals(data)).toBe(true);
          await finish(ending, lease, session);
        } finally {
          hold.stop();
        }
      } catch (error) {
        // The executor that another client killed may be ours: then, and only then, a lease ends under us.
        expect(String(error)).toMatch(/EXECUTOR_FAILED|The connection is closed|No WELCOME comes/);
      }
    }
  }

  await Promise.all(Array.from({ length: CLIENTS }, live));
  await waitFor("an empty pool", async () => (await control.inUse()) === 0);
  await waitFor("the executors' end, but for the spare", () => executorChildrenOf(server.pid).length <= 1);
  const whole = await control.allocate({ devices: 2, fraction: 1 });
  await control.release(whole.id, whole.secret);
  control.close();
  const children = childrenOf(server.pid);
  expect(await server.stop()).toBe(0);
  await waitFor("the spare's end", () => !children.some(isAlive));
});
