/** How programs that have a path of their own to NVIDIA's libraries, as Python's packages do, come by Sluice's under `sluice run`; and that others notice nothing. */
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, chownSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildInterposer, isLed } from "../support/interposer.ts";
import { runSluice, startServer, type TestServer } from "../support/server.ts";

const folder = mkdtempSync(join(tmpdir(), "sluice-test-wheel-"));
/** As in a virtual environment: a package with NVIDIA's libraries, and one beside it whose library finds them by its own place. */
const wheel = join(folder, "site-packages/nvidia/cu13/lib");
const own = join(folder, "site-packages/program");
let server: TestServer;

const compile = (source: string, target: string, ...flags: string[]): string => {
  execFileSync("cc", ["-O1", "-Wall", "-Werror", "-o", target, `test/interposer/loader/${source}.c`, ...flags]);
  return target;
};

/** A runtime of its own that a package brings along, by that name. */
const runtime = (into: string, name: string): string => {
  const version = `-Wl,--version-script=${resolve("client/interposer/runtime/libcudart.13.map")}`;
  return compile("other-runtime", join(into, name), "-shared", "-fPIC", `-Wl,-soname,${name}`, version);
};

beforeAll(async () => {
  if (!isLed) return;
  buildInterposer();
  for (const each of [wheel, own]) mkdirSync(each, { recursive: true });
  const library = runtime(wheel, "libcudart.so.13");
  for (const name of ["libcudart-1b2c3d4e.so.12.8.90", "libother.so.1"]) copyFileSync(library, join(wheel, name));
  server = await startServer({ args: ["--device", "cpu:2x256MiB"] });
});
afterAll(async () => {
  await server?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** A program that is linked with the package's runtime, found by its own place, before or after LD_LIBRARY_PATH. */
const linked = (tags: "enable" | "disable"): string => {
  const path = `-Wl,--${tags}-new-dtags,-rpath,$ORIGIN/../nvidia/cu13/lib`;
  return compile("count", join(own, `linked-${tags}`), "-DLINKED", `-L${wheel}`, "-l:libcudart.so.13", path);
};

const run = (command: readonly string[], env: NodeJS.ProcessEnv = {}) =>
  runSluice(["run", "-n", "2", "-m", "128MiB", "--", ...command], {
    env: { SLUICE_SERVER: server.grpc, SLUICE_INTERPOSER: undefined, ...env },
  });
const said = (devices: number, libraries: number) => ({
  code: 0,
  stdout: `${devices} devices, ${libraries} libraries\n`,
  stderr: "",
});

describe.runIf(isLed)("a program with a path of its own to the CUDA runtime", () => {
  it.each(["enable", "disable"] as const)(
    "that is built into it (%s-new-dtags) uses the borrowed slice",
    async (tags) => {
      const program = linked(tags);
      expect(spawnSync(program, { encoding: "utf8" }).stdout).toBe("77 devices, 0 libraries\n");
      expect(await run([program])).toEqual(said(2, 2));
    },
  );

  it.each(["libcudart.so.13", "libcudart-1b2c3d4e.so.12.8.90"])(
    "that loads %s by it uses the borrowed slice",
    async (name) => {
      const program = compile("count", join(own, "loads"));
      expect(await run([program, join(wheel, name)])).toEqual(said(2, 2));
    },
  );

  it.each(["libcudart.so.13", "libcudart.4f8a0b1c.so.13"])(
    "uses it together with a package that has a copy beside it under a name of its own (%s first)",
    async (first) => {
      const bundled = join(folder, "site-packages/bundled.libs");
      mkdirSync(bundled, { recursive: true });
      const copy = basename(runtime(bundled, "libcudart.1b2c3d4e.so.13"));
      const needs = (name: string, at: string): string[] => [
        "-DLINKED",
        `-L${at}`,
        `-l:${name}`,
        `-Wl,-rpath,$ORIGIN/../${basename(at)}`,
      ];
      const library = compile("count", join(own, "libpackage.so"), "-shared", "-fPIC", ...needs(copy, bundled));
      runtime(bundled, first);
      const program = compile("count", join(own, "packages"), ...needs(first, bundled));
      expect(spawnSync(program, [library], { encoding: "utf8" }).stdout).toBe("77 devices, 0 libraries\n");
      expect(await run([program, library])).toEqual(said(2, 2));
      expect(await run(["env", "-u", "LD_LIBRARY_PATH", program, library])).toEqual(said(2, 2));
    },
  );

  it("uses it in its children too, and without LD_LIBRARY_PATH", async () => {
    const command = ["env", "-u", "LD_LIBRARY_PATH", "sh", "-c", `"$0"; exit $?`, linked("disable")];
    expect(await run(command)).toEqual(said(2, 2));
  });

  it("gets Sluice's under the names of NVIDIA's, whatever version and folder, and no other's", async () => {
    const names: Record<string, string | undefined> = {
      "libcuda.so": "libcuda.so.1",
      "libcuda.so.1": "libcuda.so.1",
      "libcuda.so.580.95.05": "libcuda.so.1",
      "libnvidia-ml.so.580.95.05": "libnvidia-ml.so.1",
      "libcudart.so.12": "libcudart.so.12",
      "libcudart.so.13.0.96": "libcudart.so.13",
      "libcudart.4f8a0b1c.so.13": "libcudart.so.13",
      "libcublas.so.12.9.1.4": "libcublas.so.12",
      "libcublasLt.so.13": "libcublasLt.so.13",
      "libcudnn.so.9.24.0": "libcudnn.so.9",
      "libcudnn.so.8": undefined,
      "libcudnn_ops.so.9": undefined,
      "libcufft.so.11.4.1.4": "libcufft.so.11",
      "libcufft.so.12": "libcufft.so.12",
      "libcufftw.so.12": undefined,
      "libcurand.so.10.4.0.35": "libcurand.so.10",
      "libcusolver.so.11.7.1.2": "libcusolver.so.11",
      "libcusolver.so.12": "libcusolver.so.12",
      "libcusolverMg.so.12": undefined,
      // A link without a version, as toolkits have them, tells it by its target.
      "libcudart.so": "libcudart.so.12",
      "libcublas.so": undefined,
      "libcublas.so.11": undefined,
      "libcudart.so.11.0": undefined,
      "libcudart.so.130": undefined,
      "libcudart.so.13.bak": undefined,
      "libcudart-1b2c3d4.so.13": undefined,
      "libcudart-1b2c3d4e5.so.13": undefined,
      "libcudart_helper.so": undefined,
      "libcudart_static.so.13": undefined,
      "libcublasXt.so.13": undefined,
      "libcublasLtx.so.13": undefined,
      "libcuda-foo.so": undefined,
      "libcuda-foo.so.1": undefined,
      "libcudadebugger.so.1": undefined,
      "libnvidia-mlx.so.1": undefined,
      "mylibcudart.so.13": undefined,
    };
    const looks = join(folder, "looks");
    mkdirSync(looks);
    for (const name of Object.keys(names))
      if (name === "libcudart.so") symlinkSync("libcudart.so.12", join(looks, name));
      else copyFileSync(join(wheel, "libother.so.1"), join(looks, name));
    const paths = Object.keys(names).map((name) => join(looks, name));
    const program = compile("names", join(own, "names"));
    const bare = "libcurand.so.10.4.0.35";
    const { stdout } = await run([program, bare, ...paths, "libcuda.so", "libcublas.so.12"]);
    const ours = (name: string): string => resolve("dist/interposer", name);
    const found = Object.entries(names).map(([name, served]) =>
      served === undefined ? join(looks, name) : ours(served),
    );
    const [first, ...others] = stdout.trim().split("\n");
    expect(first).toBe(ours("libcurand.so.10"));
    expect(others).toEqual([...found, ours("libcuda.so.1"), ours("libcublas.so.12")]);
  });

  it("has its own where Sluice's are not wanted, or the folder of them is not told", async () => {
    expect(await run([linked("disable")], { SLUICE_INTERPOSER: "" })).toEqual(said(77, 0));
    expect(await run(["env", "LD_AUDIT=libsluice-loader.so", linked("disable")])).toEqual(said(77, 0));
  });
});

describe.runIf(isLed)("a program that has nothing to do with CUDA", () => {
  it("has none of the libraries loaded, whatever it loads itself", async () => {
    const program = compile("count", join(own, "plain"));
    expect(await run([program])).toEqual(said(-1, 0));
    expect(await run([program, join(wheel, "libother.so.1")])).toEqual(said(77, 0));
  });

  it("runs linked statically", async () => {
    expect(await run([compile("count", join(own, "static"), "-static", "-w")])).toEqual(said(-1, 0));
  });

  it("runs with libraries that keep much data for each thread, and with the smallest stacks", async () => {
    const data = compile("thread-data", join(wheel, "libdata.so"), "-shared", "-fPIC", "-DLIBRARY");
    const program = compile("thread-data", join(own, "small-thread"), "-pthread");
    expect(await run(["env", `LD_PRELOAD=${data}`, program])).toEqual({ code: 0, stdout: "0\n", stderr: "" });
  });

  it.runIf(process.getuid?.() === 0)("that takes another user's rights is said to be out of reach", async () => {
    const program = compile("count", join(own, "setuid"));
    chownSync(program, 65534, 65534);
    chmodSync(program, 0o4755);
    const { code, stdout, stderr } = await run([program]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: "-1 devices, 0 libraries\n" });
    expect(stderr).toContain(`sluice: The command [${program}] takes another user's rights (setuid)`);
    expect(stderr.trim().split("\n")).toHaveLength(1);
  });

  it("keeps the auditors that the environment had, and gets this one once", async () => {
    const { stdout } = await run(["sh", "-c", 'echo "$LD_AUDIT"'], { LD_AUDIT: "" });
    const loader = stdout.trim();
    expect(loader).toMatch(/\/libsluice-loader\.so$/);
    const other = join(wheel, "libother.so.1");
    const again = await run(["sh", "-c", 'echo "$LD_AUDIT"'], { LD_AUDIT: `${loader}:${other}` });
    expect(again.stdout).toBe(`${loader}:${other}\n`);
  });
});
