/**
 * `node dist/test/gpu/record.js [FILE]`: writes what a card gives for every form of an instruction that is the same on every machine, in digests; by default to
 * test/kernels/sweep/card.json, to which a unit test holds the cpu device. Needs a card and the built checkout.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { packageFolder } from "../../client/package-folder.ts";
import { cudaDriver } from "../../server/device/cuda/driver.ts";
import { ARENA_BASE } from "../../shared/limits.ts";
import { CASE_ARENA_BYTES } from "../kernels/cases.ts";
import { openSliceMachine } from "../kernels/slice-machine.ts";
import { digestsOf } from "../kernels/sweep/comparison.ts";
import { families, isExact } from "../kernels/sweep/families.ts";
import { sweep } from "../kernels/sweep/program.ts";

const file = process.argv[2] ?? join(packageFolder, "test/kernels/sweep/card.json");
const description = (await cudaDriver.discover("0"))[0]!;
let base = ARENA_BASE;
const machine = await openSliceMachine({
  get arenaBase() {
    return base;
  },
  arenaBytes: CASE_ARENA_BYTES,
  isHardware: true,
  open: async (onOutput) => {
    const options = { description, arenaBytes: CASE_ARENA_BYTES, arenaBase: ARENA_BASE, kernelTimeoutMs: 0, onOutput };
    const slice = await cudaDriver.open(options);
    base = slice.arenaBase ?? ARENA_BASE;
    return slice;
  },
});
const digests: Record<string, string> = {};
for (const family of families.filter(isExact)) {
  digests[family.name] = digestsOf(family, await sweep(machine, family)).join(" ");
  await machine.reset();
}
const { name, details } = description;
writeFileSync(file, `${JSON.stringify({ name, driver: details?.driverVersion, digests }, undefined, 2)}\n`);
await machine.close();
