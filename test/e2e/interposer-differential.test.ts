/** One random sequence of calls, played by the TypeScript client and by the interposer, gives the same memory. The seed names a run. */
import { readFileSync, writeFileSync } from "node:fs";
import { connect, type DeviceBuffer } from "sluice";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildInterposer, canBuild, compileProgram, programs, runProgram } from "../support/interposer.ts";
import { createRandom } from "../support/random.ts";
import { socketOf, startServer, type TestServer } from "../support/server.ts";

type Step =
  | readonly ["a", id: number, bytes: number]
  | readonly ["f", id: number]
  | readonly ["w", id: number, offset: number, bytes: number, seed: number]
  | readonly ["s", id: number, offset: number, count: number, width: 1 | 2 | 4, value: number]
  | readonly ["c", to: number, toOffset: number, from: number, fromOffset: number, bytes: number]
  | readonly ["l", id: number, count: number]
  | readonly ["r", id: number, offset: number, bytes: number];

/** A valid script: every step stays inside live buffers, and every buffer is written before it is read. */
function scriptOf(seed: number, steps: number): Step[] {
  const random = createRandom(seed);
  const below = (bound: number): number => Math.floor(random() * bound);
  const sizes = new Map<number, number>();
  const script: Step[] = [];
  let next = 0;
  const pick = (): readonly [number, number] => [...sizes][below(sizes.size)]!;
  for (let step = 0; step < steps; step++) {
    const kind = below(20);
    if (sizes.size < 2 || (kind === 0 && sizes.size < 40)) {
      const bytes = below(5) === 0 ? 1 + below(3_000_000) : 4 + below(20_000);
      sizes.set(next, bytes);
      script.push(["a", next, bytes], ["s", next, 0, bytes, 1, below(256)]);
      next++;
      continue;
    }
    const [id, size] = pick();
    const offset = below(size);
    const bytes = 1 + below(size - offset);
    if (kind === 1 && sizes.size > 2) {
      script.push(["f", id]);
      sizes.delete(id);
    } else if (kind < 7) script.push(["w", id, offset, bytes, below(2 ** 32)]);
    else if (kind < 10) {
      const width = ([1, 2, 4] as const)[below(3)]!;
      const start = offset - (offset % width);
      const count = Math.floor((size - start) / width);
      if (count > 0) script.push(["s", id, start, 1 + below(count), width, below(2 ** (8 * width))]);
    } else if (kind < 13) {
      const [from, fromSize] = pick();
      const fromOffset = below(fromSize);
      const length = Math.min(bytes, fromSize - fromOffset);
      if (from !== id && length > 0) script.push(["c", id, offset, from, fromOffset, length]);
    } else if (kind < 16) {
      if (size >= 4) script.push(["l", id, 1 + below(Math.min(5000, Math.floor(size / 4)))]);
    } else script.push(["r", id, offset, bytes]);
  }
  for (const [id, size] of sizes) script.push(["r", id, 0, size]);
  return script;
}

function bytesOf(count: number, seed: number): Uint8Array {
  let state = seed >>> 0;
  return Uint8Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
}

function hashOf(bytes: Uint8Array): number {
  let hash = 2166136261;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 16777619);
  return hash >>> 0;
}

const addOne = (): string => {
  const header = readFileSync("test/interposer/driver/driver.h", "utf8");
  const text = (name: string): string => new RegExp(`#define ${name}\\b((?:.*\\\\\\n)*.*)`).exec(header)![1]!;
  const quoted = (part: string): string => [...part.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, body]) => body).join("");
  return (quoted(text("PTX_HEADER")) + quoted(text("PTX_ADD_ONE"))).replaceAll("\\n", "\n");
};

async function playByLibrary(server: TestServer, script: readonly Step[]): Promise<number[]> {
  const pool = await connect({ server: server.grpc, lease: "" });
  const lease = await pool.allocate({ memory: "256MiB" });
  try {
    const gpu = lease.devices[0]!;
    const kernel = (await gpu.load(addOne())).kernel("add_one");
    const buffers = new Map<number, DeviceBuffer>();
    const at = (id: number): DeviceBuffer => buffers.get(id)!;
    const hashes: number[] = [];
    for (const step of script) {
      if (step[0] === "a") buffers.set(step[1], gpu.alloc(step[2]));
      else if (step[0] === "f") at(step[1]).free();
      else if (step[0] === "w") at(step[1]).write(bytesOf(step[3], step[4]), { offset: step[2] });
      else if (step[0] === "s") {
        const as = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array }[step[4]];
        at(step[1]).fill(step[5], { as, offset: step[2], length: step[3] });
      } else if (step[0] === "c") gpu.copy(at(step[1]).at(step[2]), at(step[3]).at(step[4]), { bytes: step[5] });
      else if (step[0] === "l") kernel.launch({ grid: 8, block: 64 }, [at(step[1]), step[2]]);
      else hashes.push(hashOf(await at(step[1]).read(Uint8Array, { offset: step[2], length: step[3] })));
    }
    return hashes;
  } finally {
    await lease.release();
    await pool.close();
  }
}

let server: TestServer;
beforeAll(async () => {
  if (!canBuild) return;
  buildInterposer();
  server = await startServer({ args: ["--device", "cpu:1x1GiB"] });
});
afterAll(async () => {
  await server?.stop();
});

describe.runIf(canBuild)("the TypeScript client and the interposer", () => {
  it.each([1, 2, 3])("leave the same memory behind for seed %i", async (seed) => {
    const script = scriptOf(seed, 400);
    const program = compileProgram("test/interposer/differential/script.c");
    const path = `${programs}/script-${seed}`;
    writeFileSync(path, script.map((step) => `${step.join(" ")}\n`).join(""));
    const expected = await playByLibrary(server, script);
    const command = ["sh", "-c", `${program} < ${path}`];
    // The library goes over the Unix socket, and so does the interposer in two of three.
    const env = seed % 3 === 0 ? {} : { SLUICE_DATA: `unix://${socketOf(server)}` };
    const finished = await runProgram({ server, command, env });
    expect(finished.code, finished.stdout.slice(-300) + finished.stderr).toBe(0);
    expect(finished.stdout.trim().split("\n").map(Number)).toEqual(expected);
    expect(expected.length).toBeGreaterThan(20);
  });
});
