/** Where the libraries beside the driver are found: in folders as toolkits and Python's packages make them, over the stand-in's library. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { includeFolders, libraryNames, openToolkitLibrary } from "../../server/device/cuda/toolkit.ts";
import { standin, standinMissing } from "../cuda/standin.ts";

const variables = ["SLUICE_CUDA_PATH", "CUDA_HOME", "CUDA_PATH", "VIRTUAL_ENV", "CONDA_PREFIX", "SLUICE_CUDA_INCLUDE"];
const saved = Object.fromEntries(variables.map((name) => [name, process.env[name]]));
let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "sluice-test-toolkit-"));
  for (const name of variables) delete process.env[name];
});

afterEach(() => {
  for (const [name, value] of Object.entries(saved)) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
  rmSync(root, { recursive: true });
});

/** A library that can be opened, named after nothing that a machine has. */
function put(folder: string, name: string): string {
  mkdirSync(join(root, folder), { recursive: true });
  symlinkSync(join(standin.folder, "libcuda.so.1"), join(root, folder, name));
  return join(root, folder, name);
}

const open = (driverVersion: number, named?: string): string | undefined =>
  openToolkitLibrary("sluicetest", { named, driverVersion })?.path;

describe.skipIf(standinMissing !== undefined)("a library of the CUDA toolkit", () => {
  it("is found in an environment of Python, by its newest version", () => {
    put("lib/python3.9/site-packages/nvidia/cublas/lib", "libsluicetest.so.12");
    const newest = put("lib/python3.12/site-packages/nvidia/cu13/lib", "libsluicetest.so.13");
    process.env["VIRTUAL_ENV"] = root;
    expect(open(13_000)).toBe(newest);
    process.env["CONDA_PREFIX"] = process.env["VIRTUAL_ENV"];
    delete process.env["VIRTUAL_ENV"];
    expect(open(13_000)).toBe(newest);
  });

  it("is none that is newer than the driver", () => {
    put("new", "libsluicetest.so.13");
    process.env["SLUICE_CUDA_PATH"] = join(root, "new");
    expect(open(12_080)).toBeUndefined();
    const old = put("old", "libsluicetest.so.12");
    process.env["SLUICE_CUDA_PATH"] = `${join(root, "new")}:${join(root, "old")}`;
    expect(open(12_080)).toBe(old);
    expect(libraryNames("nvrtc", 13_000)).toEqual(["libnvrtc.so.13", "libnvrtc.so.12"]);
    expect(libraryNames("nvrtc", 14_010)[0]).toBe("libnvrtc.so.14");
  });

  it("is the named one and no other, where one is named", () => {
    process.env["CUDA_HOME"] = root;
    const found = put("lib64", "libsluicetest.so.12");
    expect(open(12_040)).toBe(found);
    expect(open(12_040, join(root, "not-there.so"))).toBeUndefined();
  });

  it("that cannot be opened is passed over", () => {
    mkdirSync(join(root, "broken"));
    writeFileSync(join(root, "broken/libsluicetest.so.13"), "no library");
    const good = put("good", "libsluicetest.so.13");
    process.env["SLUICE_CUDA_PATH"] = `${join(root, "broken")}:${join(root, "good")}`;
    expect(open(13_000)).toBe(good);
  });

  it("brings its headers along, and those that these are built on", () => {
    put("nvidia/cuda_nvrtc/lib", "libsluicetest.so.12");
    const headers = join(root, "nvidia/cuda_runtime/include");
    mkdirSync(headers, { recursive: true });
    process.env["SLUICE_CUDA_PATH"] = join(root, "nvidia/cuda_nvrtc/lib");
    const library = openToolkitLibrary("sluicetest", { named: undefined, driverVersion: 12_040 })!;
    expect(includeFolders(library)).not.toContain(headers);
    writeFileSync(join(headers, "cuda_fp16.h"), "");
    expect(includeFolders(library)[0]).toBe(headers);
    mkdirSync(join(headers, "cccl"));
    expect(includeFolders(library)).toEqual([headers, join(headers, "cccl")]);
    process.env["SLUICE_CUDA_INCLUDE"] = join(root, "chosen");
    expect(includeFolders(library)).toEqual([]);
    mkdirSync(join(root, "chosen"));
    writeFileSync(join(root, "chosen/cuda_fp16.h"), "");
    expect(includeFolders(library)).toEqual([join(root, "chosen")]);
  });
});
