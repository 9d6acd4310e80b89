/** What the dashboard's page knows: messages read by the contract alone, the model that they change, sums, colours and numbers. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type {
  WatchPoolResponse,
  WatchPoolResponse__Output,
} from "../../proto/generated/sluice/v1/WatchPoolResponse.ts";
import { contract } from "../../proto/load.ts";
import { COLOURS, type Memory, TenantColours } from "../../server/dashboard/colours.ts";
import { byteRate, duration, rate, size, sizeWritten } from "../../server/dashboard/format.ts";
import { decode } from "../../server/dashboard/live/decode.ts";
import { applied, emptyModel, momentOf, withPauses } from "../../server/dashboard/live/pool-model.ts";
import { withGaps } from "../../server/dashboard/past.ts";
import { statesOf, sumsOfPool } from "../../server/dashboard/pool-sums.ts";
import { parseSize } from "../../shared/units.ts";

const { responseSerialize, responseDeserialize } = contract.PoolService.service.WatchPool;
const GiB = 1024 ** 3;

const message = (part: WatchPoolResponse): WatchPoolResponse__Output =>
  decode("WatchPoolResponse", responseSerialize(part)) as WatchPoolResponse__Output;

/** As the server's side reads it, without the names of choices, which the page does not need. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value, (key, each) => (key.startsWith("_") || key === "share" ? undefined : each)));
}

const full: WatchPoolResponse = {
  sequence: 7,
  snapshot: true,
  nowAtMs: Date.UTC(2026, 10, 25),
  devices: [
    {
      id: "cuda:0",
      memoryBytes: 80 * GiB,
      freeBytes: 2 ** 52,
      mode: "SHARING_MODE_PROFILE",
      labels: { zone: "a", constructor: "b" },
      taints: ["zone"],
      cordon: { device: "cuda:0", code: "DEVICE_CORDONED", message: "Ünïcode 你好" },
      health: { problems: [], throttling: ["power cap"], temperatureCelsius: 0, powerWatts: 301.5, checkedAtMs: 5 },
    },
    { id: "cuda:1", health: { utilization: 0.5 } },
  ],
  leases: [
    {
      id: "lease-1",
      state: "LEASE_STATE_ATTACHED",
      priority: -100,
      slices: [{ index: 0, deviceId: "cuda:0", memoryBytes: GiB }],
      usage: { calls: 2 ** 40, heldMs: 1 },
      activity: { callsPerSecond: 0.5 },
    },
  ],
  queueChanged: true,
  queue: [{ id: "lease-2", fraction: 0.25, reasons: [{ device: "", code: "QUOTA_EXCEEDED", message: "" }] }],
  tenants: [{ name: "<b>", quota: { memoryBytes: 0, priority: -1 } }, { name: "plain" }],
  goneLeaseIds: ["lease-3", ""],
};

describe("reading messages", () => {
  test("gives the same objects as the server's side has", () => {
    const bytes = responseSerialize(full);
    expect(plain(decode("WatchPoolResponse", bytes))).toEqual(plain(responseDeserialize(bytes)));
    expect(message({}).leases).toEqual([]);
    expect(message(full).devices[0]!.health!.temperatureCelsius).toBe(0);
    expect(message(full).devices[1]!.health!.temperatureCelsius).toBeUndefined();
    expect(message(full).tenants[1]!.quota).toBeNull();
  });

  test("passes over what it does not know, and ends at what is no message", () => {
    const unknown = Buffer.from([0xfa, 0x3f, 3, 1, 2, 3, 0x08, 9]);
    expect(decode("WatchPoolResponse", unknown)).toMatchObject({ sequence: 9 });
    expect(() => decode("WatchPoolResponse", Buffer.from([0x22, 0xff, 0xff]))).toThrow();
    expect(() => decode("NoSuchMessage", new Uint8Array())).toThrow("NoSuchMessage");
  });

  test("never hangs or breaks in another way, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          decode("WatchPoolResponse", bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(Error);
        }
      }),
    );
  });

  test("cannot be led to change what all objects have", () => {
    decode("WatchPoolResponse", responseSerialize({ devices: [{ labels: JSON.parse('{"__proto__": "polluted"}') }] }));
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
    const hostile = message({ devices: [{ id: "a", labels: { toString: "x" } }] });
    expect(Object.entries(hostile.devices[0]!.labels)).toEqual([["toString", "x"]]);
  });
});

describe("the model", () => {
  const first = message({
    sequence: 1,
    snapshot: true,
    nowAtMs: 1_000,
    leases: [{ id: "a" }, { id: "b" }],
    queueChanged: true,
    waiting: 3,
  });

  test("takes a snapshot and what changes", () => {
    const model = applied(emptyModel, first)!;
    const next = message({
      sequence: 2,
      nowAtMs: 2_000,
      leases: [{ id: "a", name: "new" }, { id: "c" }],
      goneLeaseIds: ["b"],
    });
    const after = applied(model, next)!;
    expect([...after.leases.values()].map(({ id, name }) => [id, name])).toEqual([
      ["a", "new"],
      ["c", ""],
    ]);
    expect(after.waiting).toBe(3);
    expect(model.leases.size).toBe(2);
  });

  test("asks for another stream when a message is missing, and forgets all at a snapshot", () => {
    const model = applied(emptyModel, first)!;
    expect(applied(model, message({ sequence: 3 }))).toBeUndefined();
    expect(applied(emptyModel, message({ sequence: 2 }))).toBeUndefined();
    const again = applied(model, message({ sequence: 1, snapshot: true, leases: [{ id: "z" }] }))!;
    expect([...again.leases.keys()]).toEqual(["z"]);
    const midway = applied(again, message({ sequence: 2, snapshot: true }))!;
    expect(midway.leases.size).toBe(0);
  });

  test("remembers what leases did, within bounds and as long as they live", () => {
    let model = emptyModel;
    for (let sequence = 1; sequence <= 1_000; sequence++) {
      const lease = { id: "a", activity: { callsPerSecond: sequence } };
      model = applied(
        model,
        message({ sequence, snapshot: sequence === 1, nowAtMs: sequence * 500, leases: [lease] }),
      )!;
    }
    const past = model.pasts.get("a")!;
    expect(past.length).toBe(300);
    expect(past.at(-1)!.atMs - past.at(-2)!.atMs).toBe(1_000);
    const gone = applied(model, message({ sequence: 1_001, nowAtMs: 600_000, goneLeaseIds: ["a"] }))!;
    expect(gone.pasts.size).toBe(0);
  });
});

describe("sums of devices", () => {
  const device = (part: object) =>
    message({
      devices: [
        {
          id: "d:0",
          memoryBytes: 16 * GiB,
          freeBytes: 6 * GiB,
          grantedBytes: 10 * GiB,
          slices: 1,
          granularityBytes: GiB,
          ...part,
        },
      ],
    }).devices[0]!;

  test.each([
    ["an open device has nothing out of reach", {}, 0],
    ["a cordoned one has all of it", { cordon: { code: "DEVICE_CORDONED" } }, 6],
    ["one that is drained, too", { draining: true }, 6],
    ["one that is lent as a whole, too", { mode: "SHARING_MODE_EXCLUSIVE" as const }, 6],
    ["of fixed slices, what is smaller than one", { mode: "SHARING_MODE_PROFILE" as const, profileBytes: 4 * GiB }, 2],
    ["less than the least slice and its overhead", { freeBytes: GiB, overheadPerLeaseBytes: GiB / 2 }, 1],
  ])("%s", (_, part, stranded) => {
    const [sums] = sumsOfPool([device(part)], []);
    expect(sums!.strandedBytes / GiB).toBe(stranded);
    expect(sums!.freeBytes + sums!.strandedBytes).toBe(sums!.device.freeBytes);
  });

  test("devices are in the order in which people count, with their slices and states", () => {
    const devices = message({ devices: ["cpu:10", "cpu:2"].map((id) => ({ id, memoryBytes: 1 })) }).devices;
    const leases = message({
      leases: [{ id: "a", tenant: "t", slices: [{ deviceId: "cpu:10", memoryBytes: 1 }], activity: { deviceLoad: 3 } }],
    }).leases;
    const sums = sumsOfPool(devices, leases);
    expect(sums.map((each) => [each.device.id, each.slices.length, each.load])).toEqual([
      ["cpu:2", 0, 0],
      ["cpu:10", 1, 1],
    ]);
    expect(statesOf(sumsOfPool([device({ draining: true, cordon: { code: "DEVICE_CORDONED" } })], [])[0]!)).toContain(
      "draining",
    );
  });
});

describe("colours", () => {
  const memory = (): Memory & { text: string | null } => ({
    text: null,
    getItem(): string | null {
      return this.text;
    },
    setItem(_key: string, value: string): void {
      this.text = value;
    },
  });

  test("differ between tenants as long as there are any, and stay over visits", () => {
    const kept = memory();
    const colours = new TenantColours(kept);
    const names = Array.from({ length: 2 * COLOURS }, (_, index) => `tenant-${index}`);
    const given = names.map((name) => colours.indexOf(name));
    expect(new Set(given).size).toBe(2 * COLOURS);
    expect(given.slice(0, COLOURS).every((index) => index < COLOURS)).toBe(true);
    expect(colours.indexOf("one-more")).toBeLessThan(2 * COLOURS);
    const again = new TenantColours(kept);
    expect(
      [...names]
        .reverse()
        .map((name) => again.indexOf(name))
        .reverse(),
    ).toEqual(given);
  });

  test("are given without a memory, with a broken one, and from nonsense", () => {
    const nonsense = memory();
    for (const text of ["{", "7", '[["a"],["b",99],["c","1"],[1,2]]']) {
      nonsense.text = text;
      expect(new TenantColours(nonsense).classOf("a")).toMatch(/^tenant tenant-\d+$/);
    }
    const broken: Memory = {
      getItem: () => {
        throw new Error("refused");
      },
      setItem: () => {
        throw new Error("refused");
      },
    };
    expect(new TenantColours(broken).indexOf("a")).toBe(new TenantColours(undefined).indexOf("a"));
  });
});

test("a pause is drawn as one", () => {
  const at = (atMs: number, callsPerSecond: number) => ({ ...momentOf(atMs, null), callsPerSecond });
  const drawn = withPauses([at(0, 5), at(5_000, 5), at(60_000, 7)]);
  expect(drawn.map(({ atMs, callsPerSecond }) => [atMs, callsPerSecond])).toEqual([
    ...[
      [0, 5],
      [5_000, 5],
      [6_000, 0],
      [59_000, 0],
      [60_000, 7],
    ],
  ]);
});

test("numbers are short", () => {
  expect([0, 512, 1536, 9.5 * GiB, 1023.9 * 1024 ** 2, 3 * 1024 ** 4].map(size)).toEqual([
    ...["0 B", "512 B", "1.5 KiB", "9.5 GiB", "1 GiB", "3 TiB"],
  ]);
  expect([0, 0.5, 999, 1_234, 5_600_000].map(rate)).toEqual(["–", "0.5", "999", "1.23 k", "5.6 M"]);
  expect(byteRate(2048)).toBe("2 KiB/s");
  expect([0, 400, 45_000, 125_000, 3_600_000, 7_500_000, 273_600_000].map(duration)).toEqual([
    ...["0 s", "400 ms", "45 s", "2 min 5 s", "1 h", "2 h 5 min", "3 d 4 h"],
  ]);
  for (const bytes of [GiB, 3 * 1024 ** 2, 12_345]) expect(parseSize(sizeWritten(bytes))).toBe(bytes);
});

test("no line crosses a time in which there are no samples", () => {
  const past = { stepMs: 10, atMs: [0, 10, 50, 60], series: [{ kind: "k", subject: "", values: [1, 2, 3, null] }] };
  expect(withGaps(past)).toEqual({
    stepMs: 10,
    atMs: [0, 10, 20, 50, 60],
    series: [{ kind: "k", subject: "", values: [1, 2, null, 3, null] }],
  });
});
