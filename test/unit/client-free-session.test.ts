/** Which of its leases a program works under, and how long it waits while others have the sessions of all. */
import { afterEach, describe, expect, it, vi } from "vitest";
import type { LeaseKey } from "../../client/control.ts";
import { type FreeSessionOptions, firstFreeSession } from "../../client/free-session.ts";
import { type ErrorCode, SluiceError } from "../../shared/errors.ts";
import { waitFor } from "../support/wait-for.ts";

const keysOf = (...ids: string[]): LeaseKey[] => ids.map((leaseId) => ({ leaseId, secret: new Uint8Array(32) }));
const failure = (code: ErrorCode): SluiceError => new SluiceError(code, `It is [${code}].`);

/** Each try of a lease takes the next word of its line: a code to fail with, or "free"; the last one stays. */
function stage(lines: Record<string, (ErrorCode | "free")[]>, options: Partial<FreeSessionOptions<string>> = {}) {
  const tried: string[] = [];
  const work = firstFreeSession({
    keys: keysOf(...Object.keys(lines)),
    attach: async ({ leaseId }) => {
      tried.push(leaseId);
      const line = lines[leaseId]!;
      const word = line.length > 1 ? line.shift()! : line[0]!;
      if (word === "free") return leaseId;
      throw failure(word);
    },
    isOwn: () => false,
    askedWaitMs: undefined,
    defaultWaitMs: 10_000,
    signal: undefined,
    ...options,
  });
  return { work, tried };
}

const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "none",
    (error: SluiceError) => error.code,
  );

afterEach(() => vi.restoreAllMocks());

describe("a program under several leases", () => {
  it("takes the first that is free, and asks for no other", async () => {
    const { work, tried } = stage({ a: ["LEASE_ENDED"], b: ["SESSION_BUSY"], c: ["free"], d: ["free"] });
    expect([await work, tried]).toEqual(["c", ["a", "b", "c"]]);
  });

  it("asks busy ones again, those that have ended never", async () => {
    const { work, tried } = stage({ a: ["LEASE_EXPIRED"], b: ["SESSION_BUSY", "SESSION_BUSY", "free"] });
    expect([await work, tried]).toEqual(["b", ["a", "b", "b", "b"]]);
  });

  it("gives up when the last that was busy has ended", async () => {
    const { work } = stage({ a: ["LEASE_EXPIRED"], b: ["SESSION_BUSY", "LEASE_REVOKED"] });
    expect(await codeOf(work)).toBe("LEASE_REVOKED");
  });

  it("is told any other failure at once", async () => {
    const { work, tried } = stage({ a: ["SESSION_BUSY"], b: ["WRONG_SECRET"], c: ["free"] });
    expect([await codeOf(work), tried]).toEqual(["WRONG_SECRET", ["a", "b"]]);
  });
});

describe("a program that waits for a session", () => {
  it("gets SESSION_BUSY behind its time, and at once with none", async () => {
    const startedAt = performance.now();
    expect(await codeOf(stage({ a: ["SESSION_BUSY"] }, { askedWaitMs: 120 }).work)).toBe("SESSION_BUSY");
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(119);
    const { work, tried } = stage({ a: ["SESSION_BUSY"], b: ["SESSION_BUSY"] }, { askedWaitMs: 0 });
    expect([await codeOf(work), tried]).toEqual(["SESSION_BUSY", ["a", "b"]]);
  });

  it("does not wait for itself unless it says so", async () => {
    const own = { isOwn: (id: string) => id === "a" };
    const { work, tried } = stage({ a: ["SESSION_BUSY", "free"] }, own);
    expect([await codeOf(work), tried]).toEqual(["SESSION_BUSY", ["a"]]);
    expect(await stage({ a: ["SESSION_BUSY", "free"] }, { ...own, askedWaitMs: 10_000 }).work).toBe("a");
    expect(await stage({ a: ["SESSION_BUSY"], b: ["SESSION_BUSY", "free"] }, own).work).toBe("b");
  });

  it("waits for a server that starts anew meanwhile, and for none that was not there at first", async () => {
    const line: (ErrorCode | "free")[] = [
      "SESSION_BUSY",
      "SERVER_UNREACHABLE",
      "CONNECTION_LOST",
      "SESSION_BUSY",
      "free",
    ];
    expect(await stage({ a: line }).work).toBe("a");
    expect(await codeOf(stage({ a: ["SERVER_UNREACHABLE", "free"] }).work)).toBe("SERVER_UNREACHABLE");
  });

  it("ends with CANCELLED when it is called off", async () => {
    const calledOff = new AbortController();
    const { work } = stage({ a: ["SESSION_BUSY"] }, { signal: calledOff.signal });
    calledOff.abort();
    expect(await codeOf(work)).toBe("CANCELLED");
  });

  it("is told why, once, if it has not said that it would", async () => {
    const warned = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    const calledOff = new AbortController();
    const { signal } = calledOff;
    const late = stage({ a: ["SESSION_BUSY"], b: ["SESSION_BUSY"] }, { defaultWaitMs: 60_000, signal });
    const patient = stage({ a: ["SESSION_BUSY"] }, { askedWaitMs: 60_000, signal });
    await waitFor("the words", () => warned.mock.calls.length > 0);
    const asked = [late.tried.length, patient.tried.length] as const;
    await waitFor("both to ask again", () => late.tried.length > asked[0] + 2 && patient.tried.length > asked[1] + 1);
    calledOff.abort();
    expect(await Promise.all([codeOf(late.work), codeOf(patient.work)])).toEqual(["CANCELLED", "CANCELLED"]);
    expect(warned.mock.calls).toEqual([
      [
        "All [2] sessions are in use; this program waits for up to [1m]. For 3 processes at once: `sluice run --processes 3`.",
        "SluiceWarning",
      ],
    ]);
  });
});
