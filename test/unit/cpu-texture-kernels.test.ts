/** Textures and surfaces in what CUDA's own compiler writes (test/kernels/cu/textures.cu), on the cpu device. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { ARENA_BASE } from "../../shared/limits.ts";
import { fetchFromAll, moveInAll } from "../kernels/texture-kernels.ts";
import { type CpuMachine, openCpu } from "./cpu-machine.ts";

let machine: CpuMachine;
beforeAll(async () => {
  machine = await openCpu();
});
afterAll(async () => {
  await machine.slice.close();
});

it("fetches from every kind of texture", async () => {
  const { actual, wanted } = await fetchFromAll(machine.slice, ARENA_BASE);
  expect(actual).toEqual(wanted);
});

it("reads and writes every kind of surface", async () => {
  const { actual, wanted } = await moveInAll(machine.slice, ARENA_BASE);
  expect(actual).toEqual(wanted);
});
