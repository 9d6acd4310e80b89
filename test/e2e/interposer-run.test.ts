/** `sluice run` as it stands, with a program that knows nothing of Sluice: the libraries are built at the first use, and kept. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { buildInterposer, canBuild, compileProgram } from "../support/interposer.ts";
import { runSluice, startServer, type TestServer } from "../support/server.ts";

const cache = mkdtempSync(join(tmpdir(), "sluice-cache-"));
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
    const env = { SLUICE_SERVER: server.grpc, SLUICE_INTERPOSER: "/some/folder", LD_LIBRARY_PATH: "/before" };
    const { stdout } = await runSluice(command, { env });
    expect(stdout).toMatch(/^\/some\/folder:\/before unix:\/\/\/\S+ tcp:\/\/\S+\n$/);
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
  it("are built once, say so, and are found again", { timeout: 120_000 }, async () => {
    const { interposerEnvironment } = await import("../../client/cli/interposer.ts");
    // How fast they are is nothing to this test, and there are two builds at once.
    vi.stubEnv("CFLAGS", "-O0");
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
      "libnvidia-ml.so",
      "libnvidia-ml.so.1",
      "libsluice-loader.so",
    ]);
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
