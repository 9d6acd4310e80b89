/** The heartbeats of a lease, and a client that closes under them. */
import { expect, test, vi } from "vitest";
import { Control } from "../../client/control.ts";
import { Holder, type HolderOptions } from "../../client/holder.ts";
import type { SluiceError } from "../../shared/errors.ts";
import { waitFor } from "../support/wait-for.ts";

/** Of a server that is not there. */
class CountingControl extends Control {
  holds = 0;

  constructor() {
    super({ server: "127.0.0.1:1", token: undefined, tls: undefined });
  }

  override hold(): ReturnType<Control["hold"]> {
    this.holds++;
    return super.hold();
  }
}

const BEAT_MS = 5_000;

function hold(control: Control, heartbeatIntervalMs = 10): { readonly holder: Holder; readonly ends: SluiceError[] } {
  const ends: SluiceError[] = [];
  const holder = new Holder({
    control,
    key: { leaseId: "lease-1", secret: new Uint8Array(32) },
    connection: { heartbeatIntervalMs, heartbeatTimeoutMs: 60_000 } as HolderOptions["connection"],
    onNotice: () => {},
    onEnded: (error) => ends.push(error),
  });
  return { holder, ends };
}

test("a hold that is to be opened again on a client that is closed ends quietly", async () => {
  const control = new CountingControl();
  const { holder, ends } = hold(control);
  await waitFor("another try", () => control.holds > 1);
  control.close();
  // Resolves behind the next try; what that throws would end the test's process.
  expect(await holder.reason()).toBeUndefined();
  expect(ends).toEqual([]);
});

test("a hold on a client that is closed already ends quietly", async () => {
  const control = new CountingControl();
  control.close();
  const { holder, ends } = hold(control);
  expect(await holder.reason()).toBeUndefined();
  expect(control.holds).toBe(0);
  expect(ends).toEqual([]);
});

test("a hold is opened a moment behind the grant, at once when somebody wants its word, and not at all once it is over", () => {
  vi.useFakeTimers();
  try {
    const control = new CountingControl();
    const { holder } = hold(control, BEAT_MS);
    expect(control.holds).toBe(0);
    vi.advanceTimersByTime(1_000);
    expect(control.holds).toBe(1);
    holder.stop();

    const asked = hold(control, BEAT_MS);
    void asked.holder.reason();
    vi.advanceTimersByTime(1);
    expect(control.holds).toBe(2);
    asked.holder.stop();

    const over = hold(control, BEAT_MS);
    over.holder.stop();
    vi.advanceTimersByTime(60_000);
    expect(control.holds).toBe(2);
    control.close();
  } finally {
    vi.useRealTimers();
  }
});

test("a client that stood still asks the server whether the lease lives; one that hears nothing for as long knows that it does not", () => {
  vi.useFakeTimers();
  let now = 0;
  const clock = vi.spyOn(performance, "now").mockImplementation(() => now);
  try {
    const control = new CountingControl();
    const { ends } = hold(control, BEAT_MS);
    const pass = (beats: number): void => {
      for (let beat = 0; beat < beats; beat++) {
        now += BEAT_MS;
        vi.advanceTimersByTime(BEAT_MS);
      }
    };
    pass(3);
    now += 10 * 60_000;
    pass(13);
    expect(ends).toEqual([]);
    pass(1);
    expect(ends).toMatchObject([{ code: "LEASE_EXPIRED" }]);
    control.close();
  } finally {
    clock.mockRestore();
    vi.useRealTimers();
  }
});
