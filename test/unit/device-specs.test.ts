/** The SPECs of `--device` and their options, and the devices that come of them. */
import { describe, expect, it } from "vitest";
import { parseDeviceSpec, takeInventory } from "../../server/inventory.ts";
import type { SluiceError } from "../../shared/errors.ts";

const GiB = 1024 ** 3;

const server = { hostname: "gpus", address: "10.0.0.1", labels: { zone: "a", tier: "free" } };
const take = (...specs: string[]) =>
  takeInventory(specs, server, {
    tell: () => undefined,
    skip: () => undefined,
    remark: () => undefined,
    measure: async (devices) => devices,
  });

describe("a SPEC", () => {
  it("is the driver's own without options, commas included", () => {
    expect(parseDeviceSpec("cuda:0,2")).toEqual({
      text: "cuda:0,2",
      devices: "cuda:0,2",
      sharing: { mode: "dynamic" },
      profileSlices: undefined,
      labels: {},
      taints: [],
      capability: undefined,
    });
  });

  it("may say how its devices are shared, labelled and tainted", () => {
    expect(parseDeviceSpec("cuda:0,2,profile=8x10GiB,label=rack=4,label=zone=b,taint=rack")).toMatchObject({
      devices: "cuda:0,2",
      sharing: { mode: "profile", profileBytes: 10 * GiB },
      profileSlices: 8,
      labels: { rack: "4", zone: "b" },
      taints: ["rack"],
    });
  });

  it.each([
    ["null,mode=shared", "[shared]"],
    ["null,mode=profile", "profile=8x10GiB"],
    ["null,profile=10GiB", "[10GiB]"],
    ["null,profile=0x1GiB", "[0x1GiB]"],
    ["null,profile=2xlots", "[lots]"],
    ["null,profile=2x1GiB,mode=exclusive", "more than one"],
    ["null,label=zone", "[zone]"],
    ["null,taint=a b", "[a b]"],
    ["null,colour=red", "[colour]"],
    ["cpu,capability=89", "[89]"],
    ["cpu,capability=3.5", "[3.5]"],
    ["cuda:0,capability=8.9", "a [cpu] device alone"],
  ])("like %j is refused by what is wrong with it", (text, words) => {
    expect(() => parseDeviceSpec(text)).toThrow(words);
  });
});

describe("a device", () => {
  it("has the facts and labels that filters ask about; its own labels win over the server's", async () => {
    const [first, second] = await take("null:1x1GiB", "null:1x2GiB,label=zone=b");
    expect(first).toMatchObject({
      id: "null:0",
      sharing: { mode: "dynamic" },
      labels: { zone: "a", tier: "free" },
      taints: [],
      facts: {
        "server.addr": "10.0.0.1",
        "server.hostname": "gpus",
        "device.kind": "null",
        "device.capability": "8.0",
        "device.name": "Sluice null device",
      },
    });
    expect(first!.facts).not.toHaveProperty(["server.driver-version"]);
    expect(second).toMatchObject({ id: "null:1", memoryBytes: 2 * GiB, labels: { zone: "b", tier: "free" } });
  });

  it("of kind cpu stands for the compute capability that it is given", async () => {
    const [first, second] = await take("cpu:1x1GiB", "cpu:1x1GiB,capability=12.0");
    expect(first).toMatchObject({ capabilityMajor: 8, capabilityMinor: 0, facts: { "device.capability": "8.0" } });
    expect(second).toMatchObject({ capabilityMajor: 12, capabilityMinor: 0, facts: { "device.capability": "12.0" } });
  });

  it("lends the slices of its profile and nothing beside them", async () => {
    const [device] = await take("null:1x16GiB,profile=3x4GiB");
    expect(device).toMatchObject({ memoryBytes: 12 * GiB, sharing: { mode: "profile", profileBytes: 4 * GiB } });
  });

  it.each([
    ["null:1x16GiB,profile=5x4GiB", "[20GiB]"],
    ["null:1x16GiB,profile=5x1KiB", "the least is [1MiB]"],
    ["null,taint=worn", "[worn]"],
  ])("cannot be as %j says", async (spec, words) => {
    const error = await take(spec).catch((cause: SluiceError) => cause);
    expect(error).toMatchObject({ code: "BAD_ARGUMENT", message: expect.stringContaining(words) });
  });
});
