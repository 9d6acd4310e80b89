/**
 * Programs in Python for the check (test/gpu/python): which run with what this machine's `python3` has, and what is known of them. They check
 * their own results, and print `ok`.
 */
import { resolve } from "node:path";
import { runCommand } from "./commands.ts";
import type { Program } from "./programs.ts";

const FIND_MS_MAX = 20_000;

interface PythonProgram {
  readonly file: string;
  /** Packages that it imports. */
  readonly packages: readonly string[];
  readonly isFact?: string;
  readonly settings?: Readonly<Record<string, string>>;
}

const contained = "a library with a runtime of its own asks for private interfaces, which Sluice does not offer";
const mapping = "XLA takes its memory by the driver's virtual memory interface, which is the server's alone";

const compared: readonly PythonProgram[] = [
  { file: "numba-saxpy.py", packages: ["numba"] },
  { file: "numba-sums.py", packages: ["numba"] },
  { file: "cuda-bindings.py", packages: ["cuda.bindings", "numpy"] },
  { file: "cuda-core.py", packages: ["cuda.core", "numpy"] },
  { file: "torch-elements.py", packages: ["torch"] },
  { file: "torch-product.py", packages: ["torch"] },
  { file: "torch-integers.py", packages: ["torch"] },
  { file: "torch-scaled.py", packages: ["torch"] },
  // MAGMA, which PyTorch takes for some batches, has lists of addresses in page-locked memory that it does not ask to be mapped.
  { file: "torch-linalg.py", packages: ["torch"], settings: { SLUICE_MAP_HOST_MEMORY: "1" } },
  { file: "torch-fft.py", packages: ["torch"] },
  { file: "torch-sparse.py", packages: ["torch"] },
  { file: "triton-add.py", packages: ["torch", "triton"] },
  { file: "cupy-elements.py", packages: ["cupy"], isFact: contained },
  { file: "cupy-product.py", packages: ["cupy"], isFact: contained },
  { file: "jax-product.py", packages: ["jax", "jax_cuda13_plugin"], isFact: mapping },
];

const timed: readonly PythonProgram[] = [
  { file: "numba-times.py", packages: ["numba"] },
  { file: "torch-train.py", packages: ["torch"] },
  { file: "torch-cudnn.py", packages: ["torch"] },
];

const ask = `import importlib.util, sys
for name in sys.argv[1:]:
    try:
        if importlib.util.find_spec(name): print(name)
    except ImportError:
        pass`;

/** Of these packages, those that Python finds. */
async function findPackages(names: readonly string[]): Promise<ReadonlySet<string>> {
  const { stdout } = await runCommand("python3", ["-c", ask, ...names], { limitMs: FIND_MS_MAX });
  return new Set(stdout.split("\n"));
}

function programOf({ file, packages: _, ...judged }: PythonProgram): Program {
  return { name: file, command: ["python3", resolve("test/gpu/python", file)], ...judged };
}

async function runnable(programs: readonly PythonProgram[]): Promise<{ programs: Program[]; missing?: string }> {
  const found = await findPackages([...new Set(programs.flatMap(({ packages }) => packages))]);
  const isThere = ({ packages }: PythonProgram): boolean => packages.every((name) => found.has(name));
  const missing = programs.filter((program) => !isThere(program)).map(({ file }) => file);
  const there = programs.filter(isThere).map(programOf);
  return { programs: there, ...(missing.length === 0 ? {} : { missing: missing.join(" ") }) };
}

/** Those to be compared, and the names of those whose packages are not there. */
export const findPythonPrograms = (): Promise<{ programs: Program[]; missing?: string }> => runnable(compared);

/** Those that tell their times. */
export const timesOfPython = async (): Promise<readonly Program[]> => (await runnable(timed)).programs;
