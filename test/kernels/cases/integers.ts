/** Integer instructions bit for bit against big integers. Order and meaning of the results: cu/integers.cu. */
import assert from "node:assert/strict";
import {
  extract,
  findBit,
  findShift,
  funnel,
  insert,
  leadingZeros,
  lookup,
  permute,
  popcount,
  reverse,
  saturate,
  signed,
  type Ternary,
  unsigned,
  wordOps,
} from "../integer-ops.ts";
import type { KernelCase } from "../machine.ts";
import { blocksFor, download, i32, loadFixture, scratch, seeded, upload } from "../support.ts";

type Table = readonly (readonly [name: string, op: Ternary])[];

const u32 = (value: bigint): bigint => unsigned(32, value);
const s32 = (value: bigint): bigint => signed(32, value);
const u64 = (value: bigint): bigint => unsigned(64, value);
const s64 = (value: bigint): bigint => signed(64, value);
const low = (value: bigint): bigint => u32(value);
const flag = (value: boolean): bigint => (value ? 1n : 0n);

const w32 = wordOps(32);
const w64 = wordOps(64);
const w16 = wordOps(16);

function allTruths(a: bigint, b: bigint, c: bigint): bigint {
  const [p, q] = [s32(a) < s32(b), s32(b) < s32(c)];
  // The kernel's exclusive or takes the result of the or before it.
  return (p && q ? 4n : 0n) + (p || q ? 2n : 0n) + (p !== (p || q) ? 1n : 0n);
}

const table32: Table = [
  ["add", w32.add],
  ["sub", w32.sub],
  ["mul.lo", w32.mulLo],
  ["mul.hi.u32", w32.mulHiU],
  ["mul.hi.s32", w32.mulHiS],
  ["mad.lo", w32.madLo],
  ["mad.hi.u32", w32.madHiU],
  ["mad.hi.s32", w32.madHiS],
  ["mad.hi.sat.s32", (a, b, c) => u32(saturate(32, ((s32(a) * s32(b)) >> 32n) + s32(c)))],
  ["add.sat", (a, b) => u32(saturate(32, s32(a) + s32(b)))],
  ["sub.sat", (a, b) => u32(saturate(32, s32(a) - s32(b)))],
  ["shl", w32.shl],
  ["shr.u32", w32.shrU],
  ["shr.s32", w32.shrS],
  ["shl in range", (a, _, c) => w32.shl(a, c & 31n)],
  ["shr.s32 in range", (a, _, c) => w32.shrS(a, c & 31n)],
  ["neg", w32.neg],
  ["abs", w32.abs],
  ["min.u32", w32.minU],
  ["max.u32", w32.maxU],
  ["min.s32", w32.minS],
  ["max.s32", w32.maxS],
  ["and", w32.and],
  ["or", w32.or],
  ["xor", w32.xor],
  ["not", w32.not],
  ["cnot", w32.cnot],
  ["bfe.u32", (a, position, length) => extract(32, a, { position, length, kind: "u" })],
  ["bfe.s32", (a, position, length) => extract(32, a, { position, length, kind: "s" })],
  ["bfi", (a, b, c) => insert(32, [a, b], { position: c, length: c & 31n })],
  ["bfind.u32", (a) => findBit(32, a, "u")],
  ["bfind.s32", (a) => findBit(32, a, "s")],
  ["bfind.shiftamt.u32", (a) => findShift(32, a, "u")],
  ["bfind.shiftamt.s32", (a) => findShift(32, a, "s")],
  ["brev", (a) => reverse(32, a)],
  ["popc", popcount],
  ["clz", (a) => leadingZeros(32, a)],
  ["prmt", (a, b, c) => permute("", [a, b], c)],
  ...["f4e", "b4e", "rc8", "ecl", "ecr", "rc16"].map(
    (mode) => [`prmt.${mode}`, (a: bigint, b: bigint, c: bigint) => permute(mode, [a, b], c)] as const,
  ),
  ...[0x1a, 0x96, 0xe8, 0x01].map(
    (immediate) => [`lop3 ${immediate}`, (a: bigint, b: bigint, c: bigint) => lookup(immediate, [a, b, c])] as const,
  ),
  ["shf.l.clamp", (a, b, c) => funnel("l", "clamp", [a, b, c])],
  ["shf.l.wrap", (a, b, c) => funnel("l", "wrap", [a, b, c])],
  ["shf.r.clamp", (a, b, c) => funnel("r", "clamp", [a, b, c])],
  ["shf.r.wrap", (a, b, c) => funnel("r", "wrap", [a, b, c])],
  ["sad.u32", w32.sadU],
  ["sad.s32", w32.sadS],
  ["slct", (a, b, c) => (s32(c) >= 0n ? a : b)],
  ["set.lt.s32", (a, b) => (s32(a) < s32(b) ? 0xffff_ffffn : 0n)],
  ["set.hs.u32", (a, b) => (a >= b ? 0xffff_ffffn : 0n)],
  ["setp.le.s32 and selp", (a, b, c) => (s32(a) <= s32(b) ? c : a)],
  ["setp.gt.u32 second predicate", (a, b, c) => (a > b ? 1n : c)],
  ["setp.lt.and with a negated predicate", (a, b, c) => flag(s32(a) < s32(b) && c !== a)],
  ["add.cc, addc", (a, b, c) => u32(c + ((a + b) >> 32n))],
  ["sub.cc, subc", (a, b, c) => u32(c - 5n - flag(a < b))],
  [
    "add.cc, addc.cc, addc",
    (a, b, c) => {
      const second = b + c + ((a + b) >> 32n);
      return u32(u32(second) + a + (second >> 32n));
    },
  ],
  [
    "sub.cc, subc.cc, subc",
    (a, b, c) => {
      const second = b - c - flag(a < b);
      return u32(u32(second) - a - flag(second < 0n));
    },
  ],
  ["mad.lo.cc, madc.hi", (a, b, c) => u32(((a * b) >> 32n) + c + ((u32(a * b) + c) >> 32n))],
  [
    "mad.hi.cc, addc",
    (a, b, c) => {
      const sum = ((a * b) >> 32n) + c;
      return u32(u32(sum) + (sum >> 32n));
    },
  ],
  ["div.u32", w32.divByMax],
  ["rem.u32", w32.remByMax],
  ["div.s32 guarded", w32.divGuarded],
  ["rem.s32 guarded", w32.remGuarded],
  ["div.u32 by zero, not used", (a, b, c) => (b === 0n ? c : a / b)],
  ["rem.s32 by zero, not used", w32.remGuarded],
  ["setp.xor", (a, b, c) => (b >= c !== s32(a) < s32(b) ? 7n : 9n)],
  ["predicate logic", allTruths],
  ["mov of halves", (a) => u32((a << 16n) | (a >> 16n))],
  [
    "slct and setp with an immediate",
    (a, b, c) => {
      const picked = s32(c) >= 0n ? a : b;
      return s32(picked) > -1n ? picked : 3n;
    },
  ],
  ["distance", (a, b) => (a > b ? a - b : b - a)],
  ["__byte_perm", (a, b, c) => permute("", [a, b], c & 0x7777n)],
  ["__funnelshift_l", (a, b, c) => funnel("l", "wrap", [a, b, c])],
  ["__hadd", (a, b) => u32((s32(a) + s32(b)) >> 1n)],
];

const table64: Table = [
  ["add", w64.add],
  ["sub", w64.sub],
  ["mul.lo", w64.mulLo],
  ["mul.hi.u64", w64.mulHiU],
  ["mul.hi.s64", w64.mulHiS],
  ["mad.lo", w64.madLo],
  ["mad.hi.u64", w64.madHiU],
  ["mad.hi.s64", w64.madHiS],
  ["shl", (a, _, c) => w64.shl(a, low(c))],
  ["shr.u64", (a, _, c) => w64.shrU(a, low(c))],
  ["shr.s64", (a, _, c) => w64.shrS(a, low(c))],
  ["neg", w64.neg],
  ["abs", w64.abs],
  ["min.u64", w64.minU],
  ["max.u64", w64.maxU],
  ["min.s64", w64.minS],
  ["max.s64", w64.maxS],
  ["and", w64.and],
  ["or", w64.or],
  ["xor", w64.xor],
  ["not", w64.not],
  ["cnot", w64.cnot],
  ["popc", popcount],
  ["clz", (a) => leadingZeros(64, a)],
  ["brev", (a) => reverse(64, a)],
  ["bfe.u64", (a, _, c) => extract(64, a, { position: c, length: 13n, kind: "u" })],
  ["bfe.s64", (a, _, c) => extract(64, a, { position: 9n, length: c, kind: "s" })],
  ["bfi", (a, b, c) => insert(64, [a, b], { position: c, length: 21n })],
  ["bfind.u64", (a) => findBit(64, a, "u")],
  ["bfind.s64", (a) => findBit(64, a, "s")],
  ["bfind.shiftamt.s64", (a) => findShift(64, a, "s")],
  ["sad.u64", w64.sadU],
  ["sad.s64", w64.sadS],
  ["slct", (a, b, c) => (s32(c) >= 0n ? a : b)],
  ["div.u64", w64.divByMax],
  ["rem.u64", w64.remByMax],
  ["div.s64 guarded", w64.divGuarded],
  ["rem.s64 guarded", w64.remGuarded],
  ["mul.wide.u32", (a, _, c) => low(a) * low(c)],
  ["mul.wide.s32", (a, _, c) => u64(s32(a) * s32(c))],
  ["mad.wide.u32", (a, b, c) => u64(low(a) * low(c) + b)],
  ["mad.wide.s32", (a, b, c) => u64(s32(a) * s32(c) + b)],
  ["setp.lt.u64", (a, b, c) => (a < b ? c : a)],
  ["setp.ge.s64", (a, b, c) => (s64(a) >= s64(b) ? c : a)],
  ["add.cc, addc", (a, b, c) => u64(c + ((a + b) >> 64n))],
  ["sub.cc, subc", (a, b, c) => u64(c - flag(a < b))],
  ["mov of words", (a) => u64((a << 32n) | (a >> 32n))],
  [
    "mov of quarters",
    (a) => {
      const part = (i: bigint): bigint => (a >> (i * 16n)) & 0xffffn;
      return part(3n) | (part(0n) << 16n) | (part(2n) << 32n) | (part(1n) << 48n);
    },
  ],
];

const table16: Table = [
  ["add", w16.add],
  ["sub", w16.sub],
  ["mul.lo", w16.mulLo],
  ["mul.hi.u16", w16.mulHiU],
  ["mul.hi.s16", w16.mulHiS],
  ["mad.lo", w16.madLo],
  ["mad.hi.s16", w16.madHiS],
  ["shl", (a, _, c) => w16.shl(a, c & 31n)],
  ["shr.u16", (a, _, c) => w16.shrU(a, c & 31n)],
  ["shr.s16", (a, _, c) => w16.shrS(a, c & 31n)],
  ["neg", w16.neg],
  ["abs", w16.abs],
  ["min.u16", w16.minU],
  ["max.u16", w16.maxU],
  ["min.s16", w16.minS],
  ["max.s16", w16.maxS],
  ["and", w16.and],
  ["xor", w16.xor],
  ["not", w16.not],
  ["cnot", w16.cnot],
  ["sad.s16", w16.sadS],
  ["div.u16", w16.divByMax],
  ["rem.u16", w16.remByMax],
  ["div.s16 guarded", w16.divGuarded],
  ["rem.s16 guarded", w16.remGuarded],
  ["setp.lt.s16", (a, b, c) => (signed(16, a) < signed(16, b) ? c : a)],
];

const s8 = (value: bigint): bigint => signed(8, value);
const wide16: Table = [
  ["mul.wide.u16", (a, b) => a * b],
  ["mul.wide.s16", (a, b) => u32(signed(16, a) * signed(16, b))],
  ["mad.wide.u16", (a, b) => u32(a * b * 2n)],
  ["mad.wide.s16", (a, b) => u32(signed(16, a) * signed(16, b) * 2n)],
];

const table8: Table = [
  ["add", (a, b) => a + b],
  ["sub", (a, b) => a - b],
  ["mul and add", (a, b, c) => a * b + c],
  ["high product", (a, b) => (a * b) >> 8n],
  ["div unsigned", (a, b, c) => (b ? a / b : c)],
  ["rem unsigned", (a, b, c) => (b ? a % b : c)],
  ["div signed", (a, b, c) => (b ? s8(a) / s8(b) : c)],
  ["rem signed", (a, b, c) => (b ? s8(a) % s8(b) : c)],
  ["shift right signed", (a, _, c) => s8(a) >> (c & 7n)],
  ["shift left", (a, _, c) => a << (c & 7n)],
  ["min signed", (a, b) => (s8(a) < s8(b) ? a : b)],
  ["min unsigned", (a, b) => (a < b ? a : b)],
  ["abs", (a) => (s8(a) < 0n ? -s8(a) : a)],
  ["not and xor", (a, _, c) => ~a ^ c],
];

const wideValue = (a: bigint, b: bigint): bigint => signed(64, s32(a) * 0x1_0000_0001n + s32(b));
const tableC: Table = [
  ["a / 7", (a) => s32(a) / 7n],
  ["a % 10", (a) => s32(a) % 10n],
  ["u / 1000000007", (a) => a / 1000000007n],
  ["u % 641", (a) => a % 641n],
  ["l / 1000003", (a, b) => wideValue(a, b) / 1000003n],
  ["l % 86400", (a, b) => wideValue(a, b) % 86400n],
  ["a / 16", (a) => s32(a) / 16n],
  ["a % 16", (a) => s32(a) % 16n],
  ["__mulhi", (a, b) => (s32(a) * s32(b)) >> 32n],
  ["__mul64hi", (a, b) => (wideValue(a, b) * (wideValue(a, b) ^ 0x5555_5555_5555_5555n)) >> 64n],
  ["128-bit product", (a, b) => (u64(wideValue(a, b)) * 0x9e37_79b9_7f4a_7c15n) >> 64n],
  ["__usad", (a, b) => u32(17n + (a > b ? a - b : b - a))],
];

/** Triples of operands: all pairs of the odd values, and random ones of every size. */
function operands(bits: number, seed: number): bigint[] {
  const top = 1n << BigInt(bits - 1);
  const all = (1n << BigInt(bits)) - 1n;
  const n = BigInt(bits);
  const odd = [0n, 1n, 2n, 3n, 7n, n - 1n, n, n + 1n, 0x55n, 0x80n, 0xffn, top - 1n, top, top + 1n, all - 1n, all];
  const random = seeded(seed);
  const anyBits = (): bigint => {
    const value = (BigInt(random.u32()) << 32n) | BigInt(random.u32());
    return unsigned(bits, value >> BigInt(random.int(64)));
  };
  const triples = odd.flatMap((a) => odd.flatMap((b) => [a, b, odd[random.int(odd.length)]!]));
  for (let i = 0; i < 600; i++)
    triples.push(anyBits(), anyBits(), random.int(3) ? anyBits() : BigInt(random.int(bits * 2)));
  return triples.map((value) => unsigned(bits, value));
}

function check(
  actual: readonly bigint[],
  triples: readonly bigint[],
  { table, bits }: { table: Table; bits: number },
): void {
  for (let i = 0; i < triples.length / 3; i++) {
    const [a, b, c] = triples.slice(i * 3, i * 3 + 3) as [bigint, bigint, bigint];
    table.forEach(([name, op], k) => {
      const expected = unsigned(bits, op(a, b, c));
      const result = actual[i * table.length + k];
      if (result !== expected)
        assert.fail(`${name} of [${a}, ${b}, ${c}] is [${result}], expected [${expected}] (${bits} bits)`);
    });
  }
}

const integers = (name: string, run: KernelCase["run"]): KernelCase => ({ name, ptx: "integers", run });

export const integerCases: readonly KernelCase[] = [
  integers("32-bit integer instructions agree bit for bit", async (machine) => {
    const program = await loadFixture(machine, "integers");
    const triples = operands(32, 32);
    const n = triples.length / 3;
    const out = await scratch(machine, n * table32.length * 4);
    const input = await upload(machine, Uint32Array.from(triples, Number));
    await program.launch({ kernel: "integers32", grid: blocksFor(n, 64), block: 64, args: [i32(n), input, out] });
    const result = await download(machine, out, new Uint32Array(n * table32.length));
    check(Array.from(result, BigInt), triples, { table: table32, bits: 32 });
  }),

  integers("64-bit integer instructions agree bit for bit", async (machine) => {
    const program = await loadFixture(machine, "integers");
    const triples = operands(64, 64);
    const n = triples.length / 3;
    const out = await scratch(machine, n * table64.length * 8);
    const input = await upload(machine, BigUint64Array.from(triples));
    await program.launch({ kernel: "integers64", grid: blocksFor(n, 64), block: 64, args: [i32(n), input, out] });
    const result = await download(machine, out, new BigUint64Array(n * table64.length));
    check([...result], triples, { table: table64, bits: 64 });
  }),

  integers("16-bit integer instructions agree bit for bit", async (machine) => {
    const program = await loadFixture(machine, "integers");
    const triples = operands(16, 16);
    const n = triples.length / 3;
    const out = await scratch(machine, n * table16.length * 2);
    const wide = await scratch(machine, n * wide16.length * 4);
    const input = await upload(machine, Uint16Array.from(triples, Number));
    await program.launch({ kernel: "integers16", grid: blocksFor(n, 64), block: 64, args: [i32(n), input, out, wide] });
    const result = await download(machine, out, new Uint16Array(n * table16.length));
    check(Array.from(result, BigInt), triples, { table: table16, bits: 16 });
    const products = await download(machine, wide, new Uint32Array(n * wide16.length));
    check(Array.from(products, BigInt), triples, { table: wide16, bits: 32 });
  }),

  integers("8-bit arithmetic as the compiler writes it agrees bit for bit", async (machine) => {
    const program = await loadFixture(machine, "integers");
    const triples = operands(8, 8);
    const n = triples.length / 3;
    const out = await scratch(machine, n * table8.length);
    const input = await upload(machine, Uint8Array.from(triples, Number));
    await program.launch({ kernel: "integers8", grid: blocksFor(n, 64), block: 64, args: [i32(n), input, out] });
    const result = await download(machine, out, new Uint8Array(n * table8.length));
    check(Array.from(result, BigInt), triples, { table: table8, bits: 8 });
  }),

  integers("divisions and wide products as C writes them agree bit for bit", async (machine) => {
    const program = await loadFixture(machine, "integers");
    const triples = operands(32, 99);
    const n = triples.length / 3;
    const out = await scratch(machine, n * tableC.length * 8);
    const input = await upload(machine, Uint32Array.from(triples, Number));
    await program.launch({ kernel: "integers_c", grid: blocksFor(n, 96), block: 96, args: [i32(n), input, out] });
    const result = await download(machine, out, new BigUint64Array(n * tableC.length));
    check([...result], triples, { table: tableC, bits: 64 });
  }),
];
