/**
 * Remakes the PTX fixtures from their CUDA C sources, and has NVIDIA's assembler take all forms of instructions that the tests have:
 * `npx tsx test/kernels/compile.ts`. Needs nvcc and ptxas, which users do not have; the PTX is therefore committed, and so is what was
 * made of what (made.txt). test/unit/kernels-fresh.test.ts holds both against the sources.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { instructionForms, moduleOf } from "./instructions.ts";
import { capabilityOf, families, formsOf } from "./sweep/families.ts";
import { sweepText } from "./sweep/program.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

export interface Compilation {
  /** CUDA C source, relative to the repository. */
  readonly source: string;
  /** PTX made from it, relative to the repository. */
  readonly ptx: string;
  readonly flags: readonly string[];
  /** Compute capability as a number: 75 where it is not given. */
  readonly capability?: number;
}

const fixture = (name: string, suffix = "", flags: readonly string[] = []): Compilation => ({
  source: `test/kernels/cu/${name}.cu`,
  ptx: `test/kernels/ptx/${name}${suffix}.ptx`,
  flags,
});

const example = (name: string, flags: readonly string[] = []): Compilation => ({
  source: `client/examples/${name}.cu`,
  ptx: `client/examples/${name}.ptx`,
  flags,
});

/** Everything that is compiled. */
export const compilations: readonly Compilation[] = [
  fixture("linear"),
  fixture("cooperative"),
  fixture("warp"),
  fixture("lockstep", "", ["-DSTEP="]),
  fixture("lockstep", "-volatile", ["-DSTEP=volatile"]),
  fixture("atomics"),
  fixture("numeric"),
  fixture("numeric", "-fast", ["-use_fast_math"]),
  fixture("libm"),
  fixture("libm", "-fast", ["-use_fast_math"]),
  fixture("rounding"),
  fixture("conversions"),
  fixture("integers"),
  fixture("halves"),
  { ...fixture("bfloats"), capability: 80 },
  { ...fixture("matrices"), capability: 80 },
  { ...fixture("tensors"), capability: 80 },
  fixture("language"),
  fixture("calls"),
  fixture("heap"),
  fixture("faults"),
  fixture("textures"),
  example("saxpy"),
  // Without fused multiply-adds: a CPU that has none spends several operations on each.
  example("mnist", ["-fmad=false"]),
];

/** What the oldest driver reads that Sluice takes, that of CUDA 12.4. */
const PTX_VERSION = "8.4";

/** The compiler's own name for itself, as it also stands in the PTX; undefined without a compiler. */
export function compilerVersion(): string | undefined {
  try {
    return /Cuda compilation tools, release .*/.exec(execFileSync("nvcc", ["--version"], { encoding: "utf8" }))?.[0];
  } catch {
    return undefined;
  }
}

/** The committed PTX. */
export const committed = (compilation: Compilation): string => readFileSync(join(root, compilation.ptx), "utf8");

/** A text that the assembler must take, for the least device that is said to know it. */
export interface Assembly {
  readonly name: string;
  /** As `sm_` has it. */
  readonly target: string;
  readonly text: string;
}

/** All forms of test/kernels/sweep and of instructions.txt. */
export const assemblies = (): readonly Assembly[] => [
  ...families.flatMap((family) =>
    [...new Set(formsOf(family).map(capabilityOf))].map((capability) => {
      const forms = formsOf(family).filter((form) => capabilityOf(form) === capability);
      const target = String(capability);
      return { name: `sweep of ${family.name} sm_${target}`, target, text: sweepText({ ...family, forms }) };
    }),
  ),
  ...[...new Set(instructionForms.map(({ target }) => target))].map((target) => {
    const forms = instructionForms.filter((form) => form.target === target);
    return { name: `instructions sm_${target}`, target, text: moduleOf(target, forms) };
  }),
];

/** Throws what ptxas says of a text that it does not take. */
export function assemble({ target, text }: Pick<Assembly, "target" | "text">): void {
  const folder = mkdtempSync(join(tmpdir(), "ptx-"));
  try {
    const file = join(folder, "in.ptx");
    writeFileSync(file, text);
    execFileSync("ptxas", [`-arch=sm_${target}`, "-O0", file, "-o", join(folder, "out.cubin")], { stdio: "pipe" });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const digestOf = (...parts: readonly string[]): string =>
  createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 32);

/** A line for each PTX and each assembly: a digest of what it is and what it is made of, and its name. */
export function fingerprints(): string[] {
  const ofPtx = compilations.map((compilation) => {
    const { source, ptx, flags, capability } = compilation;
    const made = digestOf(
      readFileSync(join(root, source), "utf8"),
      committed(compilation),
      PTX_VERSION,
      `${capability}`,
      ...flags,
    );
    return `${made} ${ptx}`;
  });
  return [...ofPtx, ...assemblies().map(({ name, target, text }) => `${digestOf(target, text)} ${name}`)];
}

const notes = join(root, "test/kernels/made.txt");

/** The fingerprints when all was made and taken. */
export const notedFingerprints = (): string[] => readFileSync(notes, "utf8").trimEnd().split("\n");

/** Compiles to PTX text, and proves with ptxas that the text assembles, inline assembly included. */
export function compile(compilation: Compilation): string {
  const folder = mkdtempSync(join(tmpdir(), "ptx-"));
  const { capability = 75 } = compilation;
  try {
    const output = join(folder, "out.ptx");
    // Sources are named relative to their own folder, so that no path of this machine gets into the PTX.
    execFileSync(
      "nvcc",
      ["-ptx", "-O3", `-arch=compute_${capability}`, ...compilation.flags, basename(compilation.source), "-o", output],
      { cwd: join(root, dirname(compilation.source)), stdio: ["ignore", "inherit", "inherit"] },
    );
    // The compiler names its own version of PTX whatever the program needs, and older drivers refuse that; ptxas tells whether this one will do.
    const text = readFileSync(output, "utf8").replace(/^\.version .*$/m, `.version ${PTX_VERSION}`);
    assemble({ target: String(capability), text });
    if (text.includes(root) || text.includes(folder) || text.includes(tmpdir()))
      throw new Error(`The PTX of [${compilation.source}] holds a path of this machine.`);
    return text;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  for (const compilation of compilations) {
    writeFileSync(join(root, compilation.ptx), compile(compilation));
    console.log(compilation.ptx);
  }
  for (const assembly of assemblies()) assemble(assembly);
  writeFileSync(notes, `${fingerprints().join("\n")}\n`);
}
