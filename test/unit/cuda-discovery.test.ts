/** Finding GPUs and watching their health, against the stand-in for the driver and NVML in test/cuda. */
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { driverVersionIn } from "../../server/device/cuda/discovery.ts";
import { cudaDriver } from "../../server/device/cuda/driver.ts";
import { openDriver } from "../../server/device/cuda/symbols.ts";
import { ARENA_BASE } from "../../shared/limits.ts";
import { standin, standinMissing } from "../cuda/standin.ts";
import { failureOf } from "../support/failures.ts";

const MiB = 1024 * 1024;

describe("a machine without a usable driver", () => {
  const restore = process.env["SLUICE_CUDA_LIBRARY"];
  afterEach(() => {
    if (restore === undefined) delete process.env["SLUICE_CUDA_LIBRARY"];
    else process.env["SLUICE_CUDA_LIBRARY"] = restore;
  });

  it("says so in one sentence when there is none", async () => {
    process.env["SLUICE_CUDA_LIBRARY"] = "libcuda-that-is-not-there.so.1";
    const error = await failureOf(() => cudaDriver.discover(""));
    expect(error.code).toBe("DEVICE_FAILED");
    expect(error.message).toMatch(
      /^This machine has no usable NVIDIA driver \[libcuda-that-is-not-there.so.1: .*\]\.$/,
    );
  });

  it("says so when the file is no library", async () => {
    const folder = mkdtempSync(join(tmpdir(), "sluice-test-"));
    try {
      process.env["SLUICE_CUDA_LIBRARY"] = join(folder, "libcuda.so.1");
      writeFileSync(join(folder, "libcuda.so.1"), "not a library");
      expect((await failureOf(() => cudaDriver.discover(""))).message).toContain("no usable NVIDIA driver");
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("says so when the library is not the driver", async () => {
    process.env["SLUICE_CUDA_LIBRARY"] = "libc.so.6";
    const error = await failureOf(() => cudaDriver.discover(""));
    expect(error).toMatchObject({ code: "DEVICE_FAILED", message: expect.stringContaining("lacks [cuInit]") });
  });
});

describe.skipIf(standinMissing !== undefined)("discovery of CUDA devices", () => {
  beforeEach(() => standin.clear());
  afterEach(() => {
    standin.clear();
    expect(standin.report(), "discovery makes no context").toBe("");
  });

  // The first look decides whether the driver can be used, so it must come before all others.
  it("says in one sentence why the driver cannot be used, and finds the devices once it can", async () => {
    process.env["SLUICE_STANDIN_VERSION"] = "12030";
    const old = await failureOf(() => cudaDriver.discover(""));
    expect(old.code).toBe("DEVICE_FAILED");
    expect(old.message).toBe("The NVIDIA driver is for CUDA [12.3]; Sluice needs a driver for CUDA 12.4 or later.");
    delete process.env["SLUICE_STANDIN_VERSION"];
    for (const [code, words] of [
      [100, "shows this process no GPU"],
      [304, "rights on /dev/nvidia"],
      [802, "fabric manager"],
      [803, "different versions"],
      [34, "stub"],
      [999, "fails to start"],
      [3, "fails to start"],
    ] as const) {
      standin.inject({ function: "cuInit", code });
      const error = await failureOf(() => cudaDriver.discover(""));
      expect(error).toMatchObject({ code: "DEVICE_FAILED", details: { nativeCode: code } });
      expect(error.message).toContain(words);
    }
    expect(await cudaDriver.discover("")).toHaveLength(2);
  });

  it("describes every device, without a context on any", async () => {
    expect(await cudaDriver.discover("")).toEqual(
      [0, 1].map((index) => ({
        id: `cuda:${index}`,
        kind: "cuda",
        name: `Stand-in GPU ${index}`,
        memoryBytes: 1024 * MiB,
        granularityBytes: 2 * MiB,
        overheadBytes: 768 * MiB,
        overheadEstimated: true,
        capabilityMajor: 9,
        capabilityMinor: 0,
        sliceBytesMax: 256 * MiB,
        details: {
          uuid: `GPU-abababab-abab-abab-abab-ababababab0${index}`,
          pciAddress: `0000:${index === 0 ? "3b" : "3c"}:00.0`,
          driverVersion: "580.65.06",
          cudaVersion: "13.0",
          multiprocessors: 4,
          mig: "disabled",
          ecc: "enabled",
          nvlink: [{ device: `cuda:${1 - index}`, links: 3 }],
        },
      })),
    );
  });

  it.each([
    ["0", ["cuda:0"]],
    ["1", ["cuda:1"]],
    ["0,1", ["cuda:0", "cuda:1"]],
    ["1, 0", ["cuda:1", "cuda:0"]],
  ])("finds the devices of %j", async (spec, ids) => {
    expect((await cudaDriver.discover(spec)).map(({ id }) => id)).toEqual(ids);
  });

  it("tells of a device whose kernels reach the host's memory, and leaves out one that takes one process at a time", async () => {
    try {
      process.env["SLUICE_STANDIN_ATTRIBUTES"] = "88:1";
      expect((await cudaDriver.discover("0"))[0]).toMatchObject({ reachesHostMemory: true });
      process.env["SLUICE_STANDIN_ATTRIBUTES"] = "20:3";
      const error = await failureOf(() => cudaDriver.discover(""));
      expect(error).toMatchObject({
        code: "DEVICE_FAILED",
        message:
          "The CUDA device [0] is set to allow one process at a time, and each lease has its own; change its compute mode by `nvidia-smi -i 0000:3b:00.0 -c DEFAULT`.",
      });
    } finally {
      delete process.env["SLUICE_STANDIN_ATTRIBUTES"];
    }
  });

  it("goes on with those of eight cards that can be lent, and says of each other why not", async () => {
    const remarks: string[] = [];
    process.env["SLUICE_STANDIN_DEVICES"] = "8";
    process.env["SLUICE_STANDIN_ATTRIBUTES"] = "20:2@3,102:0@5";
    try {
      const devices = await cudaDriver.discover("", (sentence) => remarks.push(sentence));
      expect(devices.map(({ id }) => id)).toEqual([0, 1, 2, 4, 6, 7].map((index) => `cuda:${index}`));
      expect(devices.map(({ details }) => details!.nvlink.length)).toEqual([1, 1, 0, 0, 0, 0]);
      expect(remarks).toEqual([
        "The CUDA device [3] is set to allow no program; change its compute mode by `nvidia-smi -i 0000:3e:00.0 -c DEFAULT`.",
        "The CUDA device [5] has no virtual memory management, which exact shares need; a virtual GPU (vGPU) may have none.",
      ]);
      expect((await failureOf(() => cudaDriver.discover("3"))).message).toBe(remarks[0]);
    } finally {
      delete process.env["SLUICE_STANDIN_DEVICES"];
      delete process.env["SLUICE_STANDIN_ATTRIBUTES"];
    }
  });

  it("leaves the system a part of memory that a device has in common with the processor, of which NVML tells nothing", async () => {
    process.env["SLUICE_STANDIN_ATTRIBUTES"] = "18:1,75:12,76:1";
    standin.inject({ function: "nvmlDeviceGetMemoryInfo_v2", code: 3, count: -1 });
    try {
      const remarks: string[] = [];
      const [device] = await cudaDriver.discover("0", (sentence) => remarks.push(sentence));
      expect(device).toMatchObject({ memoryBytes: 768 * MiB, capabilityMajor: 12, capabilityMinor: 1 });
      expect(remarks).toEqual([
        expect.stringMatching(/^The CUDA device \[0] has its memory in common .* \[0.75] of it/),
      ]);
      expect((await cudaDriver.health!([device!]))[0]).toMatchObject({ problems: [], temperatureCelsius: 40 });
    } finally {
      delete process.env["SLUICE_STANDIN_ATTRIBUTES"];
    }
  });

  it.each([
    ["2", {}, "CUDA_VISIBLE_DEVICES is [2], and names none that is there"],
    [undefined, { SLUICE_STANDIN_MIG: "1" }, "MIG is on, and no card is cut into instances"],
    [undefined, {}, "NVML shows [2], so look at the rights on /dev/nvidia*"],
  ])("says why no GPU is shown, as far as that can be known (%j, %j)", async (visible, env, words) => {
    const variables = { ...env, ...(visible === undefined ? {} : { CUDA_VISIBLE_DEVICES: visible }) };
    Object.assign(process.env, variables);
    standin.inject({ function: "cuDeviceGetCount", code: 100 });
    try {
      const error = await failureOf(() => cudaDriver.discover(""));
      expect(error).toMatchObject({ code: "DEVICE_FAILED", details: { nativeCode: 100 } });
      expect(error.message).toContain(`The NVIDIA driver is there, but it shows this process no GPU: ${words}`);
    } finally {
      for (const name of Object.keys(variables)) delete process.env[name];
    }
  });

  it("finds the driver where Windows has it for its Linux subsystem", () => {
    expect(openDriver("libcuda.so.1-of-nobody")).toHaveProperty("failure");
    expect(openDriver("libnvidia-ml.so.1-of-nobody", "/nowhere")).toHaveProperty("failure");
    symlinkSync(join(standin.folder, "libcuda.so.1"), join(standin.folder, "libsluice-only-here.so"));
    try {
      expect(openDriver("libsluice-only-here.so", standin.folder)).toHaveProperty("handle");
    } finally {
      rmSync(join(standin.folder, "libsluice-only-here.so"));
    }
  });

  it.each([
    ["NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\n", "550.54.15"],
    ["NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (u@h)\n", "580.65.06"],
    ["no such thing", ""],
  ])("reads the version of the driver's module in %j", (text, version) => {
    expect(driverVersionIn(text)).toBe(version);
  });

  it.each([
    ["2", /\[2\].*\[2\]/],
    ["0,0", /twice/],
    ["x", /indices/],
    ["-1", /indices/],
    ["0,", /indices/],
    ["1e1", /indices/],
    ["4x2GiB", /indices/],
  ])("refuses %j", async (spec, message) => {
    const error = await failureOf(() => cudaDriver.discover(spec));
    expect(error.code).toBe("BAD_ARGUMENT");
    expect(error.message).toMatch(message);
  });

  it("goes on without what the driver or NVML do not tell", async () => {
    for (const name of [
      "cuDeviceGetName",
      "cuDeviceGetPCIBusId",
      "cuMemGetAllocationGranularity",
      "nvmlSystemGetDriverVersion",
      "nvmlDeviceGetMemoryInfo_v2",
      "nvmlDeviceGetMigMode",
      "nvmlDeviceGetEccMode",
      "nvmlDeviceGetNvLinkState",
    ]) {
      standin.inject({ function: name, code: 3, count: -1 });
    }
    const [device] = await cudaDriver.discover("0");
    expect(device).toMatchObject({
      name: "NVIDIA GPU",
      granularityBytes: 2 * MiB,
      memoryBytes: 1024 * MiB,
      details: { pciAddress: "", driverVersion: "", mig: "unsupported", ecc: "unsupported" },
    });
    expect(device!.details!.nvlink).toEqual([{ device: "cuda:1", links: 0 }]);
  });

  it("opens the device of a description by its UUID, and says when it is gone", async () => {
    const [first, second] = await cudaDriver.discover("");
    const options = { arenaBytes: 2 * MiB, arenaBase: ARENA_BASE, kernelTimeoutMs: 0, onOutput: () => undefined };
    // Another process may count the devices differently; the UUID stays.
    const renamed = { ...second!, id: first!.id };
    const slice = await cudaDriver.open({ description: renamed, ...options });
    const [healthy] = await cudaDriver.health!([second!]);
    expect(healthy!.memoryUsedBytes).toBe(98 * MiB);
    await slice.close();
    const gone = { ...first!, details: { ...first!.details!, uuid: "GPU-gone" } };
    const error = await failureOf(() => cudaDriver.open({ description: gone, ...options }));
    expect(error).toMatchObject({ code: "DEVICE_FAILED", message: expect.stringContaining("cuda:0") });
  });

  it("measures what a context takes of the card", async () => {
    const [device] = await cudaDriver.discover("0");
    expect(await cudaDriver.probe!(device!)).toEqual({ overheadBytes: (96 + 256) * MiB });
    // Whatever others give back meanwhile must not make a lease look cheaper than any is, nor dearer once they have.
    standin.occupy(0, 60 * MiB);
    standin.inject({ function: "cuMemHostAlloc", code: 9996 });
    expect(await cudaDriver.probe!(device!), "others have given memory back").toEqual({
      overheadBytes: (96 + 256) * MiB,
    });
    const MANY = 3;
    standin.occupy(0, MANY * 60 * MiB);
    standin.inject({ function: "cuMemHostAlloc", code: 9996, count: MANY });
    expect(await cudaDriver.probe!(device!), "others give memory back again and again").toEqual({});
    for (const name of ["nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetHandleByUUID"]) {
      standin.inject({ function: name, code: 3, count: -1 });
      expect(await cudaDriver.probe!(device!), "only NVML tells").toEqual({});
      standin.clear();
    }
  });

  it("counts what a context takes at its first launch only", async () => {
    const [device] = await cudaDriver.discover("0");
    process.env["SLUICE_STANDIN_LAUNCH_MEMORY"] = "200";
    try {
      expect(await cudaDriver.probe!(device!)).toEqual({ overheadBytes: (96 + 200 + 256) * MiB });
    } finally {
      delete process.env["SLUICE_STANDIN_LAUNCH_MEMORY"];
    }
    expect(standin.report()).toBe("");
  });

  it("tries whether a device computes, where the driver has a compiler for that", async () => {
    const [device] = await cudaDriver.discover("0");
    process.env["SLUICE_STANDIN_MISCALCULATES"] = "1";
    try {
      const error = await failureOf(() => cudaDriver.probe!(device!));
      expect(error).toMatchObject({
        code: "DEVICE_FAILED",
        message: expect.stringContaining("computes wrong numbers"),
      });
    } finally {
      delete process.env["SLUICE_STANDIN_MISCALCULATES"];
    }
    expect(standin.report()).toBe("");
    const JIT_COMPILER_NOT_FOUND = 221;
    standin.inject({ function: "cuModuleLoadDataEx", code: JIT_COMPILER_NOT_FOUND });
    expect(await cudaDriver.probe!(device!)).toEqual({ overheadBytes: (96 + 256) * MiB });
  });
});

describe.skipIf(standinMissing !== undefined)("health of CUDA devices", () => {
  beforeEach(() => standin.clear());
  afterEach(() => standin.clear());

  it("tells temperature, power, use and what slows a device down", async () => {
    const devices = await cudaDriver.discover("");
    const [first, second] = await cudaDriver.health!(devices);
    expect(first).toEqual({
      id: "cuda:0",
      problems: [],
      throttling: [],
      temperatureCelsius: 40,
      powerWatts: 123.456,
      utilization: 0.37,
      memoryUsedBytes: 0,
      uncorrectedErrors: 0,
    });
    expect(second).toMatchObject({ problems: [], throttling: ["power cap", "hardware thermal slowdown"] });
  });

  it.each([
    ["does not know", 3],
    ["may not tell", 4],
    ["knows no reason for not telling", 999],
  ])("is good as long as NVML merely %s how a device is", async (_, status) => {
    process.env["SLUICE_STANDIN_NVML"] = String(status);
    try {
      const devices = await cudaDriver.discover("");
      expect(devices[0]!.details).toMatchObject({ ecc: "unsupported", mig: "unsupported" });
      const silent = { problems: [], throttling: [], memoryUsedBytes: 0 };
      expect(await cudaDriver.health!(devices)).toEqual([
        { id: "cuda:0", ...silent },
        { id: "cuda:1", ...silent },
      ]);
    } finally {
      delete process.env["SLUICE_STANDIN_NVML"];
    }
  });

  it("does not take a device for lost that NVML has never shown, as in some containers", async () => {
    const remarks: string[] = [];
    const NOT_FOUND = 6;
    standin.inject({ function: "nvmlDeviceGetHandleByUUID", code: NOT_FOUND, count: -1 });
    const devices = await cudaDriver.discover("", (sentence) => remarks.push(sentence));
    expect(remarks).toEqual(["NVML does not show the CUDA devices [0,1], so nothing tells how they are."]);
    // Another library is watched by a watch of its own, which has seen none of them.
    const path = process.env["SLUICE_NVML_LIBRARY"]!;
    process.env["SLUICE_NVML_LIBRARY"] = join(standin.folder, "libcuda.so.1");
    try {
      expect(await cudaDriver.health!(devices)).toMatchObject([{ problems: [] }, { problems: [] }]);
      standin.clear();
      await cudaDriver.health!(devices);
      standin.inject({ function: "nvmlDeviceGetHandleByUUID", code: NOT_FOUND, count: -1 });
      expect((await cudaDriver.health!(devices))[0]!.problems).toEqual([
        "The driver does not show the device any more.",
      ]);
    } finally {
      process.env["SLUICE_NVML_LIBRARY"] = path;
    }
  });

  it("finds a device that has fallen off the bus, and one that needs a reset", async () => {
    const devices = await cudaDriver.discover("");
    standin.inject({ function: "nvmlDeviceGetHandleByUUID", code: 15 });
    expect(await cudaDriver.health!(devices)).toMatchObject([
      { problems: ["The device has fallen off the bus."] },
      { problems: [] },
    ]);
    standin.inject({ function: "nvmlDeviceGetTemperature", code: 16 });
    expect(await cudaDriver.health!(devices)).toMatchObject([
      { problems: ["The device needs a reset."] },
      { problems: [] },
    ]);
    expect(await cudaDriver.health!(devices)).toMatchObject([{ problems: [] }, { problems: [] }]);
  });

  it("reports hardware errors, and none that a program causes by itself", async () => {
    const devices = await cudaDriver.discover("");
    await cudaDriver.health!(devices);
    standin.xid(1, 31);
    expect(await cudaDriver.health!(devices)).toMatchObject([{ problems: [] }, { problems: [] }]);
    standin.xid(1, 79);
    expect(await cudaDriver.health!(devices)).toMatchObject([
      { problems: [] },
      { problems: ["The driver reports the hardware error Xid [79]."] },
    ]);
    standin.uncorrected(3);
    const [first] = await cudaDriver.health!(devices);
    expect(first).toMatchObject({ uncorrectedErrors: 3, problems: [expect.stringContaining("[3] new errors")] });
    expect((await cudaDriver.health!(devices))[0]!.problems, "an error does not go away").toHaveLength(1);
    for (const { id } of devices) cudaDriver.acknowledge!(id);
    expect(await cudaDriver.health!(devices)).toMatchObject([{ problems: [] }, { problems: [] }]);
  });

  it("says nothing where NVML cannot be asked", async () => {
    const devices = await cudaDriver.discover("");
    const path = process.env["SLUICE_NVML_LIBRARY"]!;
    process.env["SLUICE_NVML_LIBRARY"] = "libnvidia-ml-that-is-not-there.so.1";
    try {
      expect(await cudaDriver.health!(devices)).toEqual(
        devices.map(({ id }) => ({ id, problems: [], throttling: [] })),
      );
      const remarks: string[] = [];
      const [first] = await cudaDriver.discover("0", (sentence) => remarks.push(sentence));
      expect(first!.details).toMatchObject({ driverVersion: "", nvlink: [] });
      expect(remarks).toEqual([expect.stringContaining("Nothing tells how the CUDA devices are, for NVML")]);
    } finally {
      process.env["SLUICE_NVML_LIBRARY"] = path;
    }
  });
});

describe.skipIf(standinMissing !== undefined)("an instance of a card (MIG)", () => {
  it("is told from a whole one, has its own memory, and is as well as its card", async () => {
    process.env["SLUICE_STANDIN_MIG"] = "1";
    try {
      const [device] = await cudaDriver.discover("0");
      expect(device!.details).toMatchObject({ mig: "enabled", ecc: "enabled" });
      expect((await cudaDriver.health!([device!]))[0]).toMatchObject({
        problems: [],
        temperatureCelsius: 40,
        powerWatts: 123.456,
        memoryUsedBytes: expect.any(Number),
      });
      standin.xid(0, 79);
      const [health] = await cudaDriver.health!([device!]);
      expect(health!.problems).toEqual(["The driver reports the hardware error Xid [79]."]);
      cudaDriver.acknowledge!(device!.id);
    } finally {
      delete process.env["SLUICE_STANDIN_MIG"];
    }
  });
});
