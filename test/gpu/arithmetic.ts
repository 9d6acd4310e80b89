/** Every family of instructions over its table of operands, on the card and on the cpu device, whose numbers must be the card's. */
import { openCpuMachine } from "../kernels/cpu-machine.ts";
import type { SliceMachine } from "../kernels/slice-machine.ts";
import { differences } from "../kernels/sweep/comparison.ts";
import { families, formsOf } from "../kernels/sweep/families.ts";
import { sweep } from "../kernels/sweep/program.ts";
import type { Row } from "./job.ts";

const group = "arithmetic";

/** Of one family. */
const FORMS_TOLD_MAX = 3;
const KERNEL_TIMEOUT_MS = 20_000;

/** A row for each family, and one for what all forms together come to. */
export async function* compareArithmetic(card: SliceMachine): AsyncGenerator<Row> {
  const cpu = await openCpuMachine(KERNEL_TIMEOUT_MS);
  let [forms, alike] = [0, 0];
  for (const family of families) {
    const [there, here] = await Promise.all([sweep(card, family), sweep(cpu, family)]);
    const found = differences(family, there, here);
    forms += formsOf(family.text).length;
    alike += formsOf(family.text).length - new Set(found.map(({ form }) => form)).size;
    const told = found
      .slice(0, FORMS_TOLD_MAX)
      .map(({ form, count, first }) => `[${form}] in [${count}] rows: ${first}`);
    const note = found.length > 0 ? { note: `[${found.length}] differ: ${told.join("; ")}` } : {};
    yield { group, name: family.name, ok: found.length === 0, isCase: true, ...note };
    await Promise.all([card.reset(), cpu.reset()]);
  }
  yield { group, name: "forms of instructions that give the cpu device's numbers", value: alike, unit: `of ${forms}` };
  await cpu.close();
}
