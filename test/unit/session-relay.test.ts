/** What is carried from one end of a connection to the other. */
import { Duplex } from "node:stream";
import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "vitest";
import { relay, WAITING_BYTES_MAX } from "../../server/session/relay.ts";
import { waitFor } from "../support/wait-for.ts";

const RECORD = 16 * 1024;

/** An end that gives what the test pushes, and takes what comes only when the test lets it. */
class End extends Duplex {
  /** The bytes of each write to the system. */
  readonly writes: Buffer[] = [];
  /** Whether what is written is taken at once. */
  takes = true;
  #taken: (() => void)[] = [];

  open(): void {
    this.takes = true;
    for (const done of this.#taken.splice(0)) done();
  }

  override _read(): void {}

  override _writev(chunks: { chunk: Buffer }[], done: () => void): void {
    this.writes.push(Buffer.concat(chunks.map(({ chunk }) => chunk)));
    if (this.takes) done();
    else this.#taken.push(done);
  }
}

const ends = (): { from: End; to: End } => {
  const [from, to] = [new End(), new End()];
  relay(from, to);
  return { from, to };
};

test("a small message is carried on at once, and what comes together is written together", async () => {
  const { from, to } = ends();
  from.push(Buffer.from("small"));
  await waitFor("the message", () => to.writes.length === 1);
  for (let i = 0; i < 4; i++) from.push(Buffer.alloc(RECORD, i));
  from.push(Buffer.from("end"));
  await waitFor("all", () => Buffer.concat(to.writes).length === 5 + 4 * RECORD + 3);
  expect(to.writes.length).toBeLessThan(5);
  const expected = [Buffer.from("small"), ...[0, 1, 2, 3].map((i) => Buffer.alloc(RECORD, i)), Buffer.from("end")];
  expect(Buffer.concat(to.writes).equals(Buffer.concat(expected))).toBe(true);
});

test("an end that takes nothing stops the reading of the other, and goes on with all that came", async () => {
  const { from, to } = ends();
  to.takes = false;
  let pushed = 0;
  while (!from.isPaused()) {
    from.push(Buffer.alloc(RECORD, pushed++));
    await turn();
    expect(to.writableLength).toBeLessThanOrEqual(WAITING_BYTES_MAX + RECORD);
  }
  expect(pushed * RECORD).toBeGreaterThanOrEqual(WAITING_BYTES_MAX);
  for (let more = 0; more < 10; more++) from.push(Buffer.alloc(RECORD, pushed++));
  await turn();
  expect(to.writableLength).toBeLessThanOrEqual(WAITING_BYTES_MAX + RECORD);
  to.open();
  await waitFor("all", () => Buffer.concat(to.writes).length === pushed * RECORD);
  expect(Buffer.concat(to.writes).every((byte, at) => byte === (Math.floor(at / RECORD) & 255))).toBe(true);
});

test("the end of one is the other's, behind all that came", async () => {
  const { from, to } = ends();
  from.push(Buffer.alloc(RECORD, 1));
  from.push(Buffer.from("last"));
  from.push(null);
  await waitFor("the end", () => to.writableFinished);
  expect(Buffer.concat(to.writes).subarray(RECORD).toString()).toBe("last");
});
