/** How a client tries to connect again: how long, how often, and when it sees no point in it. */
import { afterEach, describe, expect, it, vi } from "vitest";
import { Reconnection } from "../../client/reconnection.ts";
import { SluiceError } from "../../shared/errors.ts";

const away = (): SluiceError => new SluiceError("SERVER_UNREACHABLE", "Nobody is there.");

afterEach(() => {
  vi.useRealTimers();
});

describe("a client that connects again", () => {
  it("uses all of its time, however long the pauses have become", async () => {
    vi.useFakeTimers();
    const start = performance.now();
    let tries = 0;
    const connect = async (): Promise<void> => {
      tries++;
      if (performance.now() - start < 800) throw away();
    };
    let isDone = false;
    void new Reconnection({ connect, spread: 1 }).run(1000).then(() => {
      isDone = true;
    });
    await vi.advanceTimersByTimeAsync(999);
    expect(tries).toBeGreaterThan(4);
    expect(isDone).toBe(true);
  });

  it("gives up with the last failure when the time is over, after a bounded number of tries", async () => {
    let tries = 0;
    const connect = async (): Promise<void> => {
      tries++;
      throw away();
    };
    await expect(new Reconnection({ connect, spread: 0 }).run(300)).rejects.toMatchObject({
      code: "SERVER_UNREACHABLE",
    });
    expect(tries).toBeLessThan(15);
  });

  it("gives up at once where another try is of no use", async () => {
    let tries = 0;
    const connect = async (): Promise<void> => {
      tries++;
      throw new SluiceError("SESSION_LOST", "It is over.");
    };
    await expect(new Reconnection({ connect, spread: 0 }).run(60_000)).rejects.toMatchObject({ code: "SESSION_LOST" });
    expect(tries).toBe(1);
  });
});
