/**
 * What the machine is, as far as an ordinary user is told: for the JSON, so that what a card did can be understood without it. No part of it can
 * fail the check. Nothing is asked that a machine of others might not like to show: no names of users, no variables but the GPU's own.
 */
import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { driversVariables } from "./environment.ts";

const COMMAND_MS_MAX = 15_000;
const TEXT_CHARACTERS_MAX = 12_000;

/** What a command prints, or how it fails; never throws. */
function ask(command: string, ...args: string[]): Promise<string> {
  return new Promise((resolve) => {
    const options = { encoding: "utf8", timeout: COMMAND_MS_MAX, maxBuffer: 16 * 1024 * 1024 } as const;
    execFile(command, args, options, (error, stdout, stderr) => {
      const text = error === null ? stdout : `${error.message}\n${stdout}${stderr}`;
      resolve(text.trim().slice(0, TEXT_CHARACTERS_MAX));
    });
  });
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8").trim().slice(0, TEXT_CHARACTERS_MAX);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function list(folder: string, pattern: RegExp): string {
  try {
    return readdirSync(folder)
      .filter((name) => pattern.test(name))
      .sort()
      .join(" ");
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Without importing any, which takes PyTorch half a minute where nobody has used it yet. */
const packages = [
  "import sys",
  "from importlib.metadata import distributions",
  "wanted = {'torch', 'triton', 'numba', 'numba-cuda', 'numpy', 'cupy-cuda12x', 'cupy-cuda13x', 'jax', 'cuda-bindings', 'cuda-core'}",
  "found = {d.metadata['Name'].lower(): d.version for d in distributions() if d.metadata['Name']}",
  "print('python', sys.version.split()[0], *(f'{name} {found[name]}' for name in sorted(wanted & found.keys())))",
].join("\n");

/** Asks everything at once. */
export async function takeInventory(): Promise<Record<string, string>> {
  const commands = {
    "nvidia-smi": ask("nvidia-smi"),
    "nvidia-smi -q": ask("nvidia-smi", "-q"),
    "nvidia-smi topo -m": ask("nvidia-smi", "topo", "-m"),
    "nvidia-smi -L": ask("nvidia-smi", "-L"),
    nvcc: ask("nvcc", "--version"),
    "c++": ask("c++", "--version"),
    lscpu: ask("lscpu"),
    libraries: ask("sh", "-c", "ldconfig -p | grep -E 'libcuda|libnvidia|libcublas|libnvrtc|libcudart'"),
    "python packages": ask("python3", "-c", packages),
  };
  const answers = await Promise.all(Object.entries(commands).map(async ([name, text]) => [name, await text] as const));
  return {
    ...Object.fromEntries(answers),
    "/proc/driver/nvidia/version": read("/proc/driver/nvidia/version"),
    "/proc/driver/nvidia/params": read("/proc/driver/nvidia/params"),
    "/dev": list("/dev", /^nvidia|^dri$|^shm$/),
    "/sys/module/nvidia_uvm/parameters/uvm_disable_hmm": read("/sys/module/nvidia_uvm/parameters/uvm_disable_hmm"),
    "/sys/fs/cgroup/memory.max": read("/sys/fs/cgroup/memory.max"),
    limits: read("/proc/self/limits"),
    memory: read("/proc/meminfo").split("\n").slice(0, 8).join("\n"),
    variables: driversVariables(process.env),
  };
}
