/** A real executor on a CUDA device over the stand-in, whose lease is suspended: its job finds every byte, and the card has the memory meanwhile. */
import { afterEach, describe, expect, it } from "vitest";
import { cudaDriver } from "../../server/device/cuda/driver.ts";
import { SluiceError } from "../../shared/errors.ts";
import { openClient } from "../support/client-on-stand.ts";
import { DaemonStand } from "../support/daemon-stand.ts";
import { patterned } from "../support/device-stand.ts";
import { buildInterposer, canBuild, compileProgram } from "../support/interposer.ts";
import { runParked } from "../support/parked-program.ts";
import { createRandom } from "../support/random.ts";
import { knownKernels } from "./kernels.ts";
import { standinMissing } from "./standin.ts";

const MiB = 1024 ** 2;
const PART_BYTES = MiB / 2;

describe.skipIf(standinMissing !== undefined)("a lease on a CUDA device", () => {
  let stand: DaemonStand;
  afterEach(() => stand.close());

  it.each(["path", "address"] as const)("is suspended again and again under a job that comes by its %s", async (by) => {
    stand = await DaemonStand.start({ driver: cudaDriver, spec: "0", arenaBytes: 32 * MiB });
    const { gpu, session, failures } = await openClient(stand, stand[by]);
    const store = (await gpu.load(knownKernels)).kernel("store_at");
    const stream = gpu.stream();
    const bytes = patterned(MiB + PART_BYTES);
    let isOver = false;
    let parks = 0;
    const job = (async () => {
      const cell = gpu.alloc(4);
      for (let round = 1; round <= 6 || parks < 8; round++) {
        const buffer = gpu.upload(bytes);
        const copy = gpu.alloc(bytes.byteLength);
        copy.write(bytes.subarray(0, PART_BYTES), { offset: round * 4 });
        store.launch({ grid: 1, block: 1, stream }, [cell, round]);
        await stream.synchronize();
        expect([...(await cell.read(Uint32Array))]).toEqual([round]);
        expect(Buffer.compare(await buffer.read(Uint8Array), bytes)).toBe(0);
        const part = await copy.read(Uint8Array, { offset: round * 4, length: PART_BYTES });
        expect(Buffer.compare(part, bytes.subarray(0, PART_BYTES))).toBe(0);
        buffer.free();
        copy.free();
      }
    })().finally(() => {
      isOver = true;
    });
    for (; !isOver; parks++) {
      await stand.executor.park();
      await stand.executor.unpark();
    }
    await job;
    expect(parks).toBeGreaterThanOrEqual(8);
    expect(stand.savedFiles()).toEqual([]);
    await session.close(new SluiceError("CLOSED", "The test is over."));
    expect(failures).toEqual([]);
  });

  it.skipIf(!canBuild)(
    "is suspended again and again under a program whose modules have part of its slice, which finds them where they were",
    async () => {
      buildInterposer();
      stand = await DaemonStand.start({ driver: cudaDriver, spec: "0", arenaBytes: 128 * MiB });
      const program = compileProgram("test/interposer/card/suspended-modules.c", { suffix: "-card" });
      const random = createRandom(11);
      const { parks, ...end } = await runParked(program, { stand, endpoint: `unix://${stand.path}`, random });
      expect(end, `parked [${parks}] times`).toEqual({ code: 0, stdout: "ok\n", stderr: "" });
      expect(parks).toBeGreaterThan(3);
      expect(stand.said.some((said) => said.kind === "parked" && (said.keptBytes?.[0] ?? 0) > 0)).toBe(true);
    },
  );

  it.skipIf(!canBuild)("is suspended again and again under cuSOLVER's work of several threads", async () => {
    buildInterposer();
    stand = await DaemonStand.start({ driver: cudaDriver, spec: "0", arenaBytes: 32 * MiB });
    const flags = ["-l:libcusolver.so.12", "-lm"];
    const program = compileProgram("test/interposer/solver/threads.c", { flags, suffix: "-solver-parked" });
    const options = { stand, endpoint: `unix://${stand.path}`, random: createRandom(17), args: ["12"] };
    const { parks, ...end } = await runParked(program, options);
    expect({ code: end.code, stdout: end.stdout }, end.stderr).toEqual({ code: 0, stdout: "ok\n" });
    expect(parks).toBeGreaterThan(3);
  });

  // A graph with its workspaces, batch norms with what they keep of a pass for the way back, and an LSTM with its state.
  it.skipIf(!canBuild).each([
    ["legacy-convolutions", []],
    ["batch-norms", ["40"]],
    ["lstm", ["12"]],
  ])("is suspended again and again under cuDNN's work, which goes on where it was: %s", async (name, args) => {
    buildInterposer();
    stand = await DaemonStand.start({ driver: cudaDriver, spec: "0", arenaBytes: 32 * MiB });
    const program = compileProgram(`test/interposer/dnn/${name}.c`, {
      flags: ["-l:libcudnn.so.9", "-lm"],
      suffix: "-card",
    });
    const options = { stand, endpoint: `unix://${stand.path}`, random: createRandom(13), args };
    const { parks, ...end } = await runParked(program, options);
    expect({ code: end.code, stdout: end.stdout }, end.stderr).toEqual({ code: 0, stdout: "ok\n" });
    expect(parks).toBeGreaterThan(3);
  });
});
