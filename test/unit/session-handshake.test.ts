/** The data listener in this process: its time-out and its bounds, with small numbers. */
import { randomBytes } from "node:crypto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { noUsage } from "../../server/control/lease-record.ts";
import { LeaseSecret } from "../../server/control/lease-secret.ts";
import { DataListener } from "../../server/session/data-listener.ts";
import type { ProvenConnection } from "../../server/session/handshake.ts";
import { SluiceError } from "../../shared/errors.ts";
import { GREETING, helloFrame, nonceOf, RawConnection } from "../support/raw-client.ts";
import { waitFor } from "../support/wait-for.ts";

/** Longer than any test, and short for those that wait until it is over. */
const TIMEOUT_MS = 60_000;
const SHORT_TIMEOUT_MS = 200;
const HANDSHAKES_MAX = 4;
const HANDSHAKES_PER_ADDRESS_MAX = 2;

let listener: DataListener;
let address: string;
let proven: ProvenConnection[];
const secret = randomBytes(32);

beforeEach(() => begin(TIMEOUT_MS));

async function begin(timeoutMs: number): Promise<void> {
  proven = [];
  const key = new LeaseSecret(secret);
  listener = new DataListener({
    serverVersion: "1.2.3",
    timeoutMs,
    handshakesMax: HANDSHAKES_MAX,
    handshakesPerAddressMax: HANDSHAKES_PER_ADDRESS_MAX,
    leases: {
      find: (id) => {
        if (id !== "mine") throw new SluiceError("LEASE_NOT_FOUND", "There is no such lease.");
        return { id, tenant: "local", key, slices: [], usage: noUsage };
      },
    },
    onProven: (connection) => proven.push(connection),
  });
  address = `127.0.0.1:${await listener.listen({ host: "127.0.0.1", port: 0 })}`;
}

afterEach(end);

function end(): void {
  for (const { socket } of proven) socket.destroy();
  listener.close();
}

async function beginWithShortTimeout(): Promise<void> {
  end();
  await begin(SHORT_TIMEOUT_MS);
}

const hello = (nonce: Uint8Array): Buffer => helloFrame(nonce, { leaseId: "mine", secret });

test("a connection that says nothing is refused with HANDSHAKE_TIMEOUT, one that trickles too", async () => {
  await beginWithShortTimeout();
  const [silent, slow] = [new RawConnection(address), new RawConnection(address)];
  const greeting = await slow.next();
  const bytes = hello(nonceOf(greeting!));
  let at = 0;
  const trickle = setInterval(() => slow.send(bytes.subarray(at, ++at)), 20);
  expect(await silent.refusal()).toBe("HANDSHAKE_TIMEOUT");
  expect(await slow.refusal()).toBe("HANDSHAKE_TIMEOUT");
  clearInterval(trickle);
  expect(proven).toEqual([]);
});

test("a proven connection is handed on with every byte behind HELLO", async () => {
  const connection = new RawConnection(address);
  const greeting = await connection.next();
  connection.send(Buffer.concat([hello(nonceOf(greeting!)), Buffer.from("the rest")]));
  const [handed] = await waitFor("the hand-over", () => proven.length > 0 && proven);
  expect(Buffer.from(handed!.received).toString()).toBe("the rest");
});

test("a proven connection is not timed out any more", async () => {
  await beginWithShortTimeout();
  const connection = await waitFor("one that is proven in time", async () => {
    const tried = new RawConnection(address);
    const greeting = await tried.next();
    tried.send(hello(nonceOf(greeting!)));
    await waitFor("the hand-over or the end", () => proven.length > 0 || tried.closed);
    return tried.closed ? undefined : tried;
  });
  // Its own time is over before that of one that comes later.
  expect(await new RawConnection(address).refusal()).toBe("HANDSHAKE_TIMEOUT");
  expect(connection.closed).toBe(false);
});

test("after the hand-over this process reads nothing: what comes is left for the next one", async () => {
  const connection = new RawConnection(address);
  const greeting = await connection.next();
  connection.send(hello(nonceOf(greeting!)));
  const [handed] = await waitFor("the hand-over", () => proven.length > 0 && proven);
  connection.send(Buffer.alloc(10_000, 1));
  await waitFor("the bytes to be sent", () => connection.socket.bytesWritten > 10_000);
  const sentAt = performance.now();
  await waitFor("a moment in which they could be read", () => performance.now() - sentAt > 100);
  expect(handed!.socket.bytesRead).toBeLessThan(1_000);
  expect(handed!.socket.readableLength).toBe(0);
});

test("handshakes under way are bounded, and each end makes room", async () => {
  const first = Array.from(
    { length: HANDSHAKES_MAX },
    (_, index) => new RawConnection(address, `127.0.1.${index + 1}`),
  );
  for (const connection of first) expect((await connection.next())?.kind).toBe(GREETING);
  expect(await new RawConnection(address).refusal()).toBe("TOO_MANY_CONNECTIONS");
  first[0]!.destroy();
  await waitFor("room for another", async () => {
    const connection = new RawConnection(address);
    const kind = (await connection.next())?.kind;
    connection.destroy();
    return kind === GREETING;
  });
});

test("one address has a part of them, and others have the rest", async () => {
  const first = Array.from({ length: HANDSHAKES_PER_ADDRESS_MAX }, () => new RawConnection(address, "127.0.0.2"));
  for (const connection of first) expect((await connection.next())?.kind).toBe(GREETING);
  expect(await new RawConnection(address, "127.0.0.2").refusal()).toBe("TOO_MANY_CONNECTIONS");
  expect((await new RawConnection(address, "127.0.0.3").next())?.kind).toBe(GREETING);
});

test("connections that do not read their refusal are bounded too", async () => {
  const held = Array.from({ length: 5 * HANDSHAKES_MAX }, () => new RawConnection(address));
  for (const connection of held) connection.socket.pause();
  const kinds = await Promise.all(
    held.slice(2 * HANDSHAKES_MAX + 1).map((connection) => {
      connection.socket.resume();
      return connection.next();
    }),
  );
  // Beyond twice the bound a connection is closed without a word.
  expect(kinds.filter((frame) => frame === undefined).length).toBeGreaterThan(0);
  for (const connection of held) connection.destroy();
});

test("the secret is not printed, whatever prints it", () => {
  const key = new LeaseSecret(secret);
  const printed = `${JSON.stringify(key)} ${String(key)} ${JSON.stringify({ key, list: [key] })}`;
  for (const encoding of ["hex", "base64"] as const) expect(printed).not.toContain(secret.toString(encoding));
  expect(key.matches(secret)).toBe(true);
  expect(key.matches(secret.subarray(1))).toBe(false);
  expect(key.matches(randomBytes(32))).toBe(false);
});
