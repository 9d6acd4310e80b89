/** The calls that wait for their answers: any order, each once, and none forgotten. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { PendingAnswers } from "../../client/pending-answers.ts";
import { SluiceError } from "../../shared/errors.ts";
import { WireBuffer } from "../../shared/wire/wire-buffer.ts";

const buffer = new WireBuffer(64);
const answerTo = (sequence: number) => ({ sequence: sequence >>> 0, status: 0, start: 0, end: 0 });

test("answers that come in any order, between new calls, reach each its own call, once", async () => {
  const steps = fc.array(fc.oneof(fc.constant("ask" as const), fc.nat(7)), { maxLength: 60 });
  await fc.assert(
    // It begins where the low 32 bits of the numbers begin anew.
    fc.asyncProperty(steps, fc.constantFrom(0, 2 ** 32 - 3), async (script, before) => {
      const pending = new PendingAnswers("lease-1");
      const waiting: number[] = [];
      const results: Promise<number>[] = [];
      const answered: number[] = [];
      let sequence = before;
      for (const step of script) {
        if (step === "ask") {
          const own = ++sequence;
          waiting.push(own);
          results.push(pending.expect(own, () => answered.push(own)).then(() => own));
        } else if (waiting.length > 0) {
          const [own] = waiting.splice(step % waiting.length, 1);
          expect(pending.settle(buffer, answerTo(own!))).toBeUndefined();
          expect(answered.at(-1)).toBe(own);
          expect(() => pending.settle(buffer, answerTo(own!))).toThrow("waits for no answer");
        }
        expect(pending.size).toBe(waiting.length);
        expect(pending.oldest).toBe(waiting[0]);
      }
      const ends = Promise.allSettled(results);
      pending.failAll(new SluiceError("CONNECTION_LOST", "It breaks."));
      expect(pending.size).toBe(0);
      const failed = (await ends).filter((end) => end.status === "rejected");
      expect(failed.map(({ reason }) => reason.code)).toEqual(waiting.map(() => "CONNECTION_LOST"));
      expect(answered.length).toBe(results.length - waiting.length);
    }),
  );
});

test("a decoder's failure is its caller's, and a promise that it returns is waited for", async () => {
  const pending = new PendingAnswers("lease-1");
  const broken = pending.expect(1, () => {
    throw new SluiceError("PROTOCOL_ERROR", "It is malformed.");
  });
  const late = pending.expect(2, () => Promise.reject(new SluiceError("BAD_ARGUMENT", "The array is gone.")));
  const ends = Promise.allSettled([broken, late]);
  expect(() => pending.settle(buffer, answerTo(1))).toThrow("malformed");
  expect(pending.settle(buffer, answerTo(2))).toBeUndefined();
  const codes = (await ends).map((end) => (end.status === "rejected" ? end.reason.code : "fulfilled"));
  expect(codes).toEqual(["PROTOCOL_ERROR", "BAD_ARGUMENT"]);
});

test("a refusal takes nothing from what was asked before it, nor from what vouches for nothing", async () => {
  const pending = new PendingAnswers("lease-1");
  const asked = [1, 3, 4].map((sequence) => pending.expect(sequence, () => sequence, { vouches: sequence !== 4 }));
  expect(pending.refuse(new SluiceError("UNSUPPORTED", "No.", { sequence: 2 }))).toBe(true);
  for (const sequence of [4, 3, 1]) pending.settle(buffer, answerTo(sequence));
  expect(await asked[0]).toBe(1);
  await expect(asked[1]).rejects.toMatchObject({ code: "UNSUPPORTED", details: { sequence: 2 } });
  expect(await asked[2]).toBe(4);
  expect(pending.refuse(new SluiceError("UNSUPPORTED", "No.", { sequence: 5 }))).toBe(false);
});
