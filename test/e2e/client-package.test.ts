/**
 * The package as it is published: packed, unpacked elsewhere, its dependencies as a plain install puts them, its bin linked, its types
 * used. Nothing is fetched: the tarball is installed with the dependencies that this checkout has, and only those that it declares.
 */
import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startServer, type TestServer } from "../support/server.ts";

const root = process.cwd();
const { version } = JSON.parse(readFileSync("package.json", "utf8")) as { version: string };

let home: string;
let installed: string;
let server: TestServer;

/** Links the declared runtime dependencies of a package, as an install would find them; theirs are found from where they really are. */
function linkDependencies(packageFolder: string, modules: string): void {
  const { dependencies } = JSON.parse(readFileSync(join(packageFolder, "package.json"), "utf8")) as {
    dependencies: Record<string, string>;
  };
  for (const name of Object.keys(dependencies)) {
    const target = join(modules, name);
    mkdirSync(dirname(target), { recursive: true });
    symlinkSync(join(root, "node_modules", name), target);
  }
}

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), "sluice-package-"));
  const packed = execFileSync("npm", ["pack", "--ignore-scripts", "--json", "--pack-destination", home], {
    encoding: "utf8",
  });
  const [{ filename }] = JSON.parse(packed) as [{ filename: string }];
  const modules = join(home, "node_modules");
  installed = join(modules, "sluice");
  mkdirSync(installed, { recursive: true });
  execFileSync("tar", ["-xzf", join(home, filename), "--strip-components=1", "-C", installed]);
  linkDependencies(installed, modules);
  // What npm does with `bin`.
  mkdirSync(join(modules, ".bin"));
  const bin = JSON.parse(readFileSync(join(installed, "package.json"), "utf8")).bin.sluice as string;
  execFileSync("chmod", ["+x", join(installed, bin)]);
  symlinkSync(join("..", "sluice", bin), join(modules, ".bin", "sluice"));
  writeFileSync(join(home, "package.json"), '{ "type": "module" }');
  server = await startServer({ args: ["--device", "null:1x1GiB"] });
});
afterAll(async () => {
  await server.stop();
  rmSync(home, { recursive: true, force: true });
});

const sluice = (args: readonly string[]): string =>
  execFileSync(join(home, "node_modules", ".bin", "sluice"), args, {
    cwd: home,
    encoding: "utf8",
    env: { ...process.env, SLUICE_SERVER: server.grpc, SLUICE_LEASE: "" },
  });

function filesUnder(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? filesUnder(path) : [relative(installed, path)];
  });
}

describe("the published package", () => {
  it("has a bin that runs elsewhere", () => {
    expect(sluice(["--version"])).toBe(`${version}\n`);
    expect(sluice(["list"])).toContain("null:0");
  });

  it("has everything that its own server needs", () => {
    expect(sluice(["serve", "--help"])).toContain("Usage: sluice serve");
  });

  it("is a library that another project imports, in JavaScript and inside a run", () => {
    writeFileSync(
      join(home, "job.js"),
      `import { connect, SluiceError } from "sluice";
       const pool = await connect();
       const lease = await pool.allocate({ memory: "64MiB" });
       const [gpu] = lease.devices;
       const result = await gpu.upload(Float32Array.of(1, 2, 3)).read(Float32Array);
       try { gpu.alloc(0); } catch (error) { console.log(error instanceof SluiceError, error.code); }
       console.log(result.join(), gpu.kind);
       await lease.release();
       await pool.close();`,
    );
    const expected = "true BAD_ARGUMENT\n1,2,3 null\n";
    expect(sluice(["run", "-m", "64MiB", "--", process.execPath, "job.js"])).toBe(expected);
    const env = { ...process.env, SLUICE_SERVER: server.grpc, SLUICE_LEASE: "" };
    expect(execFileSync(process.execPath, ["job.js"], { cwd: home, encoding: "utf8", env })).toBe(expected);
    // The first run builds the libraries for CUDA programs.
  }, 300_000);

  it("has types with which a strict program compiles", () => {
    writeFileSync(
      join(home, "job.ts"),
      `import { connect, type Lease, SluiceError } from "sluice";
       const pool = await connect({ server: "localhost:7460" });
       await using lease: Lease = await pool.allocate({ devices: 1, memory: "4GiB", wait: "30s" });
       const [gpu] = lease.devices;
       const saxpy = (await gpu.load("")).kernel("saxpy");
       const x = gpu.upload(new Float32Array(8).fill(1));
       saxpy.launch({ grid: [1, 2], block: 256 }, [8, 2n, x, x.at(4), new Uint8Array(4)]);
       const result: Float32Array = await x.read(Float32Array, { offset: 4, length: 1 });
       if (result.length < 0) throw new SluiceError("INTERNAL", String(lease.stats.callsPerBatch));
       // @ts-expect-error: a share has to be a size or a fraction, not a word for yes.
       await pool.allocate({ memory: true });`,
    );
    const options = ["--strict", "--noEmit", "--skipLibCheck", "--module", "nodenext", "--target", "es2022"];
    const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
    const types = [
      "--lib",
      "es2024,esnext.disposable",
      "--types",
      "node",
      "--typeRoots",
      join(root, "node_modules", "@types"),
    ];
    expect(execFileSync(process.execPath, [tsc, ...options, ...types, "job.ts"], { cwd: home, encoding: "utf8" })).toBe(
      "",
    );
  });

  it("holds what it needs and nothing else", () => {
    const files = filesUnder(installed);
    expect(files).toContain(join("dist", "client", "cli", "main.js"));
    expect(files).toContain(join("dist", "server", "main.js"));
    expect(files).toContain(join("proto", "sluice", "v1", "pool.proto"));
    expect(files.filter((file) => /(^|\/)(test|node_modules)\/|tsbuildinfo|\.test\./.test(file))).toEqual([]);
    expect(existsSync(join(installed, "node_modules"))).toBe(false);
  });
});
