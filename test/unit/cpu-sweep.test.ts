/** The cpu device over the tables of operands, form by form, against what a card gave (test/kernels/sweep, recorded by test/gpu/record.ts). */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openCpuMachine } from "../kernels/cpu-machine.ts";
import type { SliceMachine } from "../kernels/slice-machine.ts";
import { digestsOf } from "../kernels/sweep/comparison.ts";
import { families, familyFor, formsOf, isExact } from "../kernels/sweep/families.ts";
import { sweep, sweepText } from "../kernels/sweep/program.ts";

let machine: SliceMachine;
beforeAll(async () => {
  machine = await openCpuMachine(30_000);
});
afterAll(() => machine.close());

interface Recorded {
  readonly name: string;
  /** Of each result of each form, by the family's name. */
  readonly digests: Readonly<Record<string, string>>;
}
const card = JSON.parse(readFileSync(new URL("../kernels/sweep/card.json", import.meta.url), "utf8")) as Recorded;
const { digests: recorded } = card;

test(`every form gives the numbers of an ${card.name}`, async () => {
  const exact = families.filter(isExact);
  expect(Object.keys(recorded).sort()).toEqual(exact.map(({ name }) => name).sort());
  const others: string[] = [];
  for (const family of exact) {
    const wanted = recorded[family.name]!.split(" ");
    const digests = digestsOf(family, await sweep(machine, family));
    const forms = formsOf(family).flatMap((form) => family.gives.map(() => form));
    others.push(...forms.filter((_, at) => digests[at] !== wanted[at]));
    await machine.reset();
  }
  expect(others).toEqual([]);
});

test("forms that approximate are run as well", async () => {
  for (const family of families.filter((each) => !isExact(each))) {
    await sweep(machine, family);
    await machine.reset();
  }
});

test("a card is asked what it knows, in a text that is for it", () => {
  const counts = [75, 80, 86, 89, 90, 120].map((capability) => {
    const known = families.flatMap((family) => familyFor(family, capability) ?? []);
    for (const family of known) expect(Number(/sm_(\d+)/.exec(sweepText(family))![1])).toBeLessThanOrEqual(capability);
    return known.flatMap((family) => formsOf(family)).length;
  });
  expect(counts).toEqual([730, 804, 812, 827, 920, 920]);
  expect(familyFor(families.find(({ name }) => name === "bf16 arithmetic")!, 86)).toBeUndefined();
});
