/** The pool as `sluice watch` draws it: what is shown where not all fits. */
import { describe, expect, it } from "vitest";
import { poolPicture, type WatchedPool } from "../../client/cli/pool-picture.ts";
import { emptyCopy } from "../../shared/pool-copy.ts";

const GiB = 2 ** 30;
const byId = <T extends { readonly id: string }>(items: readonly T[]) => new Map(items.map((item) => [item.id, item]));

/** A pool of so many devices, leases and requests; the last device is closed, and the last lease at work. */
function pool(of: {
  readonly devices?: number;
  readonly leases?: number;
  readonly waiting?: number;
  readonly told?: number;
}): WatchedPool {
  const { devices = 0, leases = 0, waiting = 0, told = waiting } = of;
  const common = { memoryBytes: 16 * GiB, grantedBytes: 0, overheadBytes: 0, freeBytes: 16 * GiB, slices: 0 };
  return {
    ...emptyCopy,
    waiting,
    devices: byId(
      Array.from({ length: devices }, (_, index) => ({
        ...{ id: `cuda:${index}`, name: "A card", ...common, draining: false },
        cordon: index === devices - 1 ? { code: "DEVICE_CORDONED", message: "" } : null,
      })),
    ),
    leases: byId(
      Array.from({ length: leases }, (_, index) => ({
        ...{ id: `lease-${String(index).padStart(16, "0")}`, tenant: "a-tenant-with-a-name", name: "a name" },
        ...{ slices: [{ deviceId: "cuda:10", memoryBytes: 9.5 * GiB, compute: index % 2 === 0 ? 0 : 0.25 }] },
        activity: {
          ...{ callsPerSecond: 1988, answersPerSecond: 900, deviceLoad: 1 },
          ...{ bytesReceivedPerSecond: 651 * 1024, bytesSentPerSecond: 999.5 * 1024 },
        },
        ...{ grantedAtMs: index, state: index === leases - 1 ? "LEASE_STATE_ATTACHED" : "LEASE_STATE_GRANTED" },
      })),
    ),
    queue: Array.from({ length: told }, (_, index) => ({
      ...{ position: index + 1, tenant: "ada", name: "", memoryBytes: GiB, fraction: 0, devices: 1, queuedAtMs: 0 },
    })),
  } as unknown as WatchedPool;
}

const draw = (of: Parameters<typeof pool>[0], rows?: number, width = 200): string[] =>
  poolPicture(pool(of), { server: "gpus:7460", width, ...(rows === undefined ? {} : { rows }) });

describe("a picture of the pool", () => {
  it("shows all where it fits, and where nobody counts its lines", () => {
    const all = draw({ devices: 3, leases: 4, waiting: 2 });
    expect(all.length).toBe(1 + 2 + 3 + 3 + 4 + 3 + 2);
    expect(draw({ devices: 3, leases: 4, waiting: 2 }, all.length)).toEqual(all);
    expect(draw({ devices: 300, leases: 400 }).length).toBe(1 + 2 + 300 + 3 + 400);
    expect(draw({ devices: 1 }).at(-1)).toContain("No leases.");
  });

  it("gives each table its part of the lines, and says how much it leaves out", () => {
    const lines = draw({ devices: 200, leases: 320, waiting: 3 }, 45);
    expect(lines.length).toBe(45);
    expect(lines).toContain("... 185 more devices");
    expect(lines).toContain("... 304 more leases");
    expect(lines.filter((line) => line.includes("ada"))).toHaveLength(3);
  });

  it.each([12, 14, 24, 45, 60])("is never longer than %i lines of a terminal, if that holds the headings", (rows) => {
    for (const of of [
      { devices: 200, leases: 320, waiting: 30 },
      { devices: 9, leases: 9, waiting: 9 },
      { devices: 90 },
    ]) {
      expect(draw(of, rows).length).toBeLessThanOrEqual(rows);
    }
  });

  it("keeps the device that is closed and the lease at work where others must go", () => {
    const text = draw({ devices: 200, leases: 320 }, 20).join("\n");
    expect(text).toMatch(/^cuda:199 .*cordoned$/m);
    expect(text).toMatch(/^lease-0+319 .*attached/m);
  });

  it("shows beside the time that a lease uses how much of it was promised", () => {
    const text = draw({ devices: 1, leases: 2 }).join("\n");
    expect(text).toMatch(/^lease-0+0 .* 100%$/m);
    expect(text).toMatch(/^lease-0+1 .* 100\/25%$/m);
  });

  it("counts requests that the server does not tell", () => {
    expect(draw({ devices: 1, waiting: 500, told: 100 }).at(-3)).toBe("... 400 more requests");
    expect(draw({ devices: 1, waiting: 500, told: 100 }, 24).at(-3)).toMatch(/^\.\.\. 4\d\d more requests$/);
  });

  it("fits 80 columns", () => {
    const lines = draw({ devices: 20, leases: 20, waiting: 3 }, 60, 80);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
  });
});
