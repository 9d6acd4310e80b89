/** Waits under several signals: the first that is aborted ends them, garbage collection or not, and none is listened to afterwards. */
import { getEventListeners } from "node:events";
import { expect, it } from "vitest";
import { orAborted, underAny } from "../../client/abort.ts";
import { collectGarbage } from "../support/garbage.ts";
import { inTime } from "../support/wait-for.ts";

const forever = (): Promise<never> => new Promise(() => {});

it("a wait under several signals ends with the first, for its reason, and listens to none afterwards", async () => {
  for (const which of [0, 1]) {
    const all = [new AbortController(), new AbortController()];
    const signals = [...all.map(({ signal }) => signal), undefined];
    const waiting = underAny(signals, (signal) => orAborted(forever(), signal));
    all[which]!.abort(new Error(`signal ${which}`));
    await expect(waiting).rejects.toMatchObject({ code: "CANCELLED", cause: new Error(`signal ${which}`) });
    expect(all.flatMap(({ signal }) => getEventListeners(signal, "abort"))).toEqual([]);
  }
});

it("a wait under a signal that is aborted already ends at once, and work that needs no signal is not touched", async () => {
  await expect(underAny([AbortSignal.abort()], (signal) => orAborted(forever(), signal))).rejects.toThrow(/withdraws/);
  const { signal } = new AbortController();
  expect(await underAny([signal], async () => 5)).toBe(5);
  expect(getEventListeners(signal, "abort")).toEqual([]);
});

it("a wait that only a time-out ends does so, also behind a garbage collection", async () => {
  const waiting = underAny([AbortSignal.timeout(50), new AbortController().signal], (signal) =>
    orAborted(forever(), signal),
  );
  collectGarbage();
  await expect(inTime("the end", waiting, 5_000)).rejects.toMatchObject({ code: "CANCELLED" });
});
