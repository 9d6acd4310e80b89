/** Makes one kernel of every form of a family, and runs it over a table of operands. */
import type { KernelMachine } from "../machine.ts";
import { scratch, upload } from "../support.ts";
import { capabilityOf, type Family, formsOf, type NumberKind, type OperandKind, type ResultKind } from "./families.ts";
import { operandTable } from "./operands.ts";

export const ROWS = 4096;
const BLOCK = 128;

const operandRegisters: Record<OperandKind, string> = {
  f32: ".f32",
  f64: ".f64",
  f16: ".b16",
  bf16: ".b16",
  f16x2: ".b32",
  bf16x2: ".b32",
  i16: ".b16",
  i32: ".b32",
  i64: ".b64",
  count: ".b32",
  angle: ".f32",
  "tame f16x2": ".b32",
  "tame bf16x2": ".b32",
  "tame f32": ".f32",
  "tame tf32": ".b32",
  "tame f64": ".f64",
  bits32: ".b32",
};

const results: Record<NumberKind, { register: string; bytes: 1 | 2 | 4 | 8 }> = {
  f32: { register: ".f32", bytes: 4 },
  f64: { register: ".f64", bytes: 8 },
  f16: { register: ".b16", bytes: 2 },
  bf16: { register: ".b16", bytes: 2 },
  f16x2: { register: ".b32", bytes: 4 },
  bf16x2: { register: ".b32", bytes: 4 },
  u16: { register: ".b16", bytes: 2 },
  u32: { register: ".b32", bytes: 4 },
  u64: { register: ".b64", bytes: 8 },
  pred: { register: ".pred", bytes: 1 },
};

/** What a result is, wherever it stands. */
export const numberOf = (kind: ResultKind): NumberKind => kind.replace("memory ", "") as NumberKind;
const isInMemory = (kind: ResultKind): boolean => kind.startsWith("memory ");

export const resultBytes = (kind: ResultKind): number => results[numberOf(kind)].bytes;

/** Bytes that all forms of a family give for all rows: form by form, result by result. */
const outputBytes = (family: Family): number =>
  formsOf(family).length * family.gives.reduce((sum, kind) => sum + resultBytes(kind), 0) * ROWS;

function formText(form: string, gives: readonly ResultKind[], start: number): { lines: string[]; end: number } {
  const lines = ["{"];
  const stores: string[] = [];
  let at = start;
  gives.forEach((kind, k) => {
    const { register, bytes } = results[numberOf(kind)];
    lines.push(`mad.wide.u32 o${k}, row, ${bytes}, out; add.s64 o${k}, o${k}, ${at};`);
    at += bytes * ROWS;
    if (isInMemory(kind)) {
      lines.push(`mov.u64 m, o${k};`);
      return;
    }
    lines.push(`.reg ${register} y${k};`);
    if (kind === "pred") stores.push(`selp.u32 t, 1, 0, y${k}; st.global.u8 [o${k}], t;`);
    else stores.push(`st.global.b${bytes * 8} [o${k}], y${k};`);
  });
  return { lines: [...lines, form, ...stores, "}"], end: at };
}

const operandBytes = (kind: OperandKind): number => Number(operandRegisters[kind].slice(2)) / 8;

/** The operands as the kernel reads them: all rows of the first, then all of the second. */
function packedOperands({ takes }: Family): Uint8Array {
  const table = operandTable(takes, ROWS);
  const bytes = Buffer.alloc(takes.reduce((sum, kind) => sum + operandBytes(kind), 0) * ROWS);
  let at = 0;
  takes.forEach((kind, place) => {
    const size = operandBytes(kind);
    for (let row = 0; row < ROWS; row++, at += size) {
      const bits = table[row * takes.length + place]!;
      if (size === 8) bytes.writeBigUInt64LE(bits, at);
      else bytes.writeUIntLE(Number(bits), at, size);
    }
  });
  return bytes;
}

/** The PTX of a family's kernel `sweep(in, out)`, for the least device that knows all its forms. */
export function sweepText(family: Family): string {
  const { takes, gives } = family;
  const forms = formsOf(family);
  const lines: string[] = [];
  let from = 0;
  takes.forEach((kind, k) => {
    const [register, size] = [operandRegisters[kind], operandBytes(kind)];
    lines.push(`.reg ${register} x${k}; mad.wide.u32 from, row, ${size}, in;`);
    lines.push(`ld.global.b${size * 8} x${k}, [from+${from}];`);
    from += size * ROWS;
  });
  let at = 0;
  for (const form of forms) {
    const { lines: own, end } = formText(form, gives, at);
    lines.push(...own);
    at = end;
  }
  return `.version 8.4
.target sm_${Math.max(...forms.map(capabilityOf))}
.address_size 64
.visible .entry sweep(.param .u64 p_in, .param .u64 p_out) {
.reg .b64 in, out, from, m, ${gives.map((_, k) => `o${k}`).join(", ")};
.reg .b32 row, block, t;
ld.param.u64 in, [p_in];
ld.param.u64 out, [p_out];
mov.u32 row, %tid.x;
mov.u32 block, %ctaid.x;
mad.lo.u32 row, block, ${BLOCK}, row;
${lines.join("\n")}
ret;
}
`;
}

/** What the machine gives, as `outputBytes` has it. */
export async function sweep(machine: KernelMachine, family: Family): Promise<Uint8Array> {
  const program = await machine.load(new TextEncoder().encode(sweepText(family)));
  const input = await upload(machine, packedOperands(family));
  const output = await scratch(machine, outputBytes(family));
  await program.launch({ kernel: "sweep", grid: ROWS / BLOCK, block: BLOCK, args: [input, output] });
  const bytes = new Uint8Array(outputBytes(family));
  await machine.read(output, bytes);
  return bytes;
}
