/**
 * Every family of instructions over its table of operands, on the card: its numbers must be the cpu device's. Those that are the same on every machine
 * are known from a card (test/kernels/sweep/card.json, to which a unit test holds the cpu device); the cpu device runs where they differ, and for the others.
 */
import { readFileSync } from "node:fs";
import { openCpuMachine } from "../kernels/cpu-machine.ts";
import type { SliceMachine } from "../kernels/slice-machine.ts";
import { type Difference, differences, digestsOf } from "../kernels/sweep/comparison.ts";
import { type Family, families, familyFor, formsOf, isExact } from "../kernels/sweep/families.ts";
import { sweep } from "../kernels/sweep/program.ts";
import { type Begin, capabilityText, type Row, type Sizes } from "./job.ts";

const group = "arithmetic";

/** Of one family. */
const FORMS_TOLD_MAX = 3;
const KERNEL_TIMEOUT_MS = 20_000;

type Digests = Readonly<Record<string, string>>;

/** What a card gave for each result of the forms; undefined where that is not known. */
function recorded(known: Digests, whole: Family, { forms = [] }: Family): string[] | undefined {
  const digests = isExact(whole) ? known[whole.name]?.split(" ") : undefined;
  const results = whole.gives.length;
  return digests?.filter((_, at) => forms.includes(formsOf(whole)[Math.floor(at / results)]!));
}

const same = (a: readonly string[], b: readonly string[] | undefined): boolean => a.join() === b?.join();

/** A row for each family that a card of this capability knows, and one for what all forms together come to. */
export async function* compareArithmetic(
  card: SliceMachine,
  { capability, sizes, begin }: { readonly capability: number; readonly sizes: Sizes; readonly begin: Begin },
): AsyncGenerator<Row> {
  const cpu = await openCpuMachine(KERNEL_TIMEOUT_MS);
  const { digests } = JSON.parse(readFileSync("test/kernels/sweep/card.json", "utf8")) as { digests: Digests };
  let [forms, alike, all] = [0, 0, 0];
  for (const whole of families.filter((_, at) => at % sizes.families === 0)) {
    all += formsOf(whole).length;
    const family = familyFor(whole, capability);
    if (family === undefined) continue;
    forms += formsOf(family).length;
    begin(family.name);
    let there: Uint8Array;
    try {
      there = await sweep(card, family);
    } catch (error) {
      yield { group, name: family.name, ok: false, isCase: true, note: String(error) };
      // Fails for a slice that is lost, which ends it all.
      await card.reset();
      continue;
    }
    let found: readonly Difference[] = [];
    if (!same(digestsOf(family, there), recorded(digests, whole, family))) {
      found = differences(family, there, await sweep(cpu, family));
      await cpu.reset();
    }
    alike += formsOf(family).length - new Set(found.map(({ form }) => form)).size;
    const told = found
      .slice(0, FORMS_TOLD_MAX)
      .map(({ form, count, first }) => `[${form}] in [${count}] rows: ${first}`);
    const note = found.length > 0 ? { note: `[${found.length}] differ: ${told.join("; ")}` } : {};
    yield { group, name: family.name, ok: found.length === 0, isCase: true, ...note };
    await card.reset();
  }
  yield { group, name: "forms of instructions that give the cpu device's numbers", value: alike, unit: `of ${forms}` };
  if (forms < all) {
    const note = `[${all - forms}] of [${all}] need more than this card's compute capability of ${capabilityText(capability)}`;
    yield { group, name: "forms that this card does not know", isSkipped: true, note };
  }
  await cpu.close();
}
