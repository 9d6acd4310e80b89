/** `sluice run` as it stands, with a program that knows nothing of Sluice: the libraries are built at the first use, and kept. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { buildInterposer, canBuild, compileProgram, isLed } from "../support/interposer.ts";
import { runSluice, startServer, type TestServer } from "../support/server.ts";

// Where make is at a loss.
const cache = mkdtempSync(join(tmpdir(), "sluice cache-"));
let server: TestServer;
let program: string;

beforeAll(async () => {
  if (!canBuild) return;
  buildInterposer();
  program = compileProgram("test/interposer/driver/vector-add.c", { suffix: "-run" });
  server = await startServer({ args: ["--device", "cpu:512MiB"] });
});
afterAll(async () => {
  await server?.stop();
  rmSync(cache, { recursive: true, force: true });
});

const run = (env: NodeJS.ProcessEnv) =>
  runSluice(["run", "-m", "128MiB", "--", program], { env: { SLUICE_SERVER: server.grpc, ...env } });

describe.runIf(canBuild)("sluice run", () => {
  it("lets an unmodified CUDA program use the borrowed slice", async () => {
    expect(await run({ SLUICE_INTERPOSER: undefined })).toEqual({ code: 0, stdout: "ok\n", stderr: "" });
  });

  it("keeps what the environment had in its library path", async () => {
    const command = ["run", "-m", "128MiB", "--", "sh", "-c", 'echo "$LD_LIBRARY_PATH $SLUICE_DATA"'];
    const env = { SLUICE_SERVER: server.grpc, SLUICE_INTERPOSER: undefined, LD_LIBRARY_PATH: "/before" };
    const { stdout } = await runSluice(command, { env });
    expect(stdout).toMatch(/^\/\S+\/dist\/interposer:\/before unix:\/\/\/\S+ tcp:\/\/\S+\n$/);
    expect(stdout).toContain(`tcp://${server.data}\n`);
  });

  it("falls back to TCP where the socket of the server's host cannot be opened", async () => {
    const elsewhere = 'SLUICE_DATA="unix:///nowhere/data.sock $(echo "$SLUICE_DATA" | cut -d" " -f2)" "$0"';
    const command = ["run", "-m", "128MiB", "--", "sh", "-c", elsewhere, program];
    const env = { SLUICE_SERVER: server.grpc, SLUICE_INTERPOSER: undefined };
    expect(await runSluice(command, { env })).toEqual({ code: 0, stdout: "ok\n", stderr: "" });
  });

  it("finds no device where it is told to use no libraries", async () => {
    expect((await run({ SLUICE_INTERPOSER: "" })).code).not.toBe(0);
  });
});

describe.runIf(canBuild)("the libraries, where the package has none", () => {
  it("are built once, say so, and are found again", async () => {
    const { interposerEnvironment } = await import("../../client/cli/interposer.ts");
    // The libraries' own code is compiled by all other tests: here only the loader's is, and the other files are empty.
    const tools = join(cache, "tools");
    mkdirSync(tools);
    const real = execFileSync("sh", ["-c", "command -v cc"], { encoding: "utf8" }).trim();
    const empty = 'while [ $# -gt 1 ]; do if [ "$1" = -o ]; then : > "$2"; fi; shift; done';
    const script = `#!/bin/sh\ncase "$*" in *loader.c*|*-print-file-name*) exec ${real} "$@";; esac\n${empty}\n`;
    writeFileSync(join(tools, "cc"), script, { mode: 0o755 });
    vi.stubEnv("PATH", `${tools}:${process.env["PATH"]}`);
    onTestFinished(() => void vi.unstubAllEnvs());
    const said: string[] = [];
    const options = {
      env: { XDG_CACHE_HOME: cache },
      server: "gpus.example:7460",
      dataEndpoints: ["tcp://:7461"],
      devices: 2,
      packaged: join(cache, "none"),
      tell: (words: string) => void said.push(words),
    };
    const [first, second] = await Promise.all([interposerEnvironment(options), interposerEnvironment(options)]);
    expect(first).toEqual(second);
    expect(first["SLUICE_DATA"]).toBe("tcp://gpus.example:7461");
    expect(first["SLUICE_DEVICES"]).toBe("2");
    expect(readdirSync(first["LD_LIBRARY_PATH"]!).sort()).toEqual([
      "libcublas.so.12",
      "libcublas.so.13",
      "libcublasLt.so.12",
      "libcublasLt.so.13",
      "libcuda.so",
      "libcuda.so.1",
      "libcudart.so.12",
      "libcudart.so.13",
      "libcudnn.so.9",
      "libcufft.so.11",
      "libcufft.so.12",
      "libcurand.so.10",
      "libcusolver.so.11",
      "libcusolver.so.12",
      "libcusparse.so.12",
      "libnvidia-ml.so",
      "libnvidia-ml.so.1",
      "libsluice-loader.so",
    ]);
    const loader = readFileSync(join(first["LD_LIBRARY_PATH"]!, "libsluice-loader.so"), "latin1");
    expect(loader.slice(1, 4)).toBe("ELF");
    expect(readdirSync(join(cache, "sluice"))).toHaveLength(1);
    said.length = 0;
    expect(await interposerEnvironment(options)).toEqual(first);
    expect(said).toEqual([]);
  });

  it.each<[string, { cache?: string; variable?: readonly [string, string] }, RegExp]>([
    ["there is no make", { variable: ["PATH", "/nonexistent"] }, /there is no \[make\] here/],
    ["there is no compiler", { variable: ["CC", "no-such-compiler"] }, /their build fails \[.*no-such-compiler.*\]/],
    ["nothing can be kept", { cache: "/proc/self" }, /kept in \[\/proc\/self\/sluice\], .* \[ENOENT\]; XDG_CACHE_HOME/],
  ])("are done without where %s, and the user hears why", async (_why, { cache: folder, variable }, words) => {
    const { interposerEnvironment } = await import("../../client/cli/interposer.ts");
    if (variable !== undefined) vi.stubEnv(...variable);
    onTestFinished(() => void vi.unstubAllEnvs());
    const said: string[] = [];
    const environment = await interposerEnvironment({
      env: { XDG_CACHE_HOME: folder ?? join(cache, "other") },
      server: "gpus.example:7460",
      dataEndpoints: ["tcp://:7461"],
      devices: 2,
      packaged: join(cache, "none"),
      tell: (text: string) => void said.push(text),
    });
    expect(environment).toEqual({});
    expect(said.at(-1)).toMatch(words);
  });
});

describe("a folder of libraries that is named", () => {
  const interposerOf = async (folder: string, env: NodeJS.ProcessEnv = {}) => {
    const { interposerEnvironment } = await import("../../client/cli/interposer.ts");
    const said: string[] = [];
    const environment = await interposerEnvironment({
      env: { ...env, SLUICE_INTERPOSER: folder },
      server: "gpus.example:7460",
      dataEndpoints: ["tcp://:7461"],
      devices: 1,
      tell: (words: string) => void said.push(words),
    });
    return { environment, said: said.join("\n") };
  };
  const made = (name: string): string => {
    const folder = join(cache, name);
    mkdirSync(folder);
    for (const library of ["libcuda.so.1", "libsluice-loader.so"]) writeFileSync(join(folder, library), "");
    return folder;
  };

  it("is told by its full name, since the command may go elsewhere", async () => {
    const folder = made("usual");
    const { environment, said } = await interposerOf(relative(process.cwd(), folder));
    expect(environment["LD_LIBRARY_PATH"]).toBe(folder);
    expect(said).toBe("");
  });

  it.each([
    ["a:b", ":"],
    ["a;b", ";"],
    ["$ORIGIN", "$ORIGIN"],
  ])("is refused, with the reason, where the loader would take [%s] for something else", async (name, word) => {
    const { environment, said } = await interposerOf(made(name));
    expect(environment).toEqual({});
    expect(said).toContain(`takes no folder with [${word}] in its name`);
  });

  it("is said to have none where it has none", async () => {
    const { environment, said } = await interposerOf(join(cache, "nowhere"));
    expect(environment).toEqual({});
    expect(said).toMatch(/find no device: the folder \[.*nowhere\] of SLUICE_INTERPOSER has no \[libcuda\.so\.1\]/);
  });

  it.each([
    ["glibc 2.31", false],
    ["glibc 2.35", true],
    ["glibc 3.0", true],
  ])("leads the loader where that is of use: %s", async (version, leads) => {
    const tools = join(cache, version);
    mkdirSync(tools);
    writeFileSync(join(tools, "getconf"), `#!/bin/sh\necho ${version}\n`, { mode: 0o755 });
    vi.stubEnv("PATH", `${tools}:${process.env["PATH"]}`);
    onTestFinished(() => void vi.unstubAllEnvs());
    const { environment } = await interposerOf(made(`for ${version}`));
    expect(environment["LD_AUDIT"] !== undefined).toBe(leads);
    expect(environment["GLIBC_TUNABLES"] !== undefined).toBe(leads);
  });

  it.runIf(isLed)("leaves what the environment sets the C library to", async () => {
    const folder = made("tuned");
    const ours = "glibc.rtld.optional_static_tls=4096";
    for (const [given, kept] of [
      [undefined, ours],
      ["glibc.malloc.perturb=1", `${ours}:glibc.malloc.perturb=1`],
      ["glibc.rtld.optional_static_tls=9000", "glibc.rtld.optional_static_tls=9000"],
    ])
      expect((await interposerOf(folder, { GLIBC_TUNABLES: given })).environment["GLIBC_TUNABLES"]).toBe(kept);
  });
});
