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
    const { holder } = hold(control, 5_000);
    expect(control.holds).toBe(0);
    vi.advanceTimersByTime(1_000);
    expect(control.holds).toBe(1);
    holder.stop();

    const asked = hold(control, 5_000);
    void asked.holder.reason();
    vi.advanceTimersByTime(1);
    expect(control.holds).toBe(2);
    asked.holder.stop();

    const over = hold(control, 5_000);
    over.holder.stop();
    vi.advanceTimersByTime(60_000);
    expect(control.holds).toBe(2);
    control.close();
  } finally {
    vi.useRealTimers();
  }
});
