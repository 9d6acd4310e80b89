/**
 * The instructions whose results are the same number on every machine, or should be close to it: which operands each takes, what it
 * gives, and how near two machines must come. Alternatives stand in angle brackets: `add<.rn|.rz>` is two forms.
 */

/** What an operand holds: it decides which numbers are tried. */
export type OperandKind =
  | "f32"
  | "f64"
  | "f16"
  | "bf16"
  | "f16x2"
  | "bf16x2"
  | "i16"
  | "i32"
  | "i64"
  | "count"
  | "angle"
  | "tame f16x2"
  | "tame bf16x2"
  | "tame f32"
  | "tame tf32"
  | "tame f64"
  | "bits32";

export type NumberKind = "f32" | "f64" | "f16" | "bf16" | "f16x2" | "bf16x2" | "u16" | "u32" | "u64" | "pred";

/** `memory …`: a word at [m], which the text itself stores to. */
export type ResultKind = NumberKind | `memory ${NumberKind}`;

export interface Family {
  readonly name: string;
  /** In registers x0, x1, ... */
  readonly takes: readonly OperandKind[];
  /** In registers y0, y1, ... */
  readonly gives: readonly ResultKind[];
  readonly text: string;
  /** Of the forms that the text stands for, those that are meant. Default: all. */
  readonly forms?: readonly string[];
  /** Steps of the format by which two machines may differ, of instructions that approximate. Default: 0, they must agree. */
  readonly within?: number;
  /** For results that are nearer to each other than this the steps do not count. Default: 0. */
  readonly absolute?: number;
}

/** How near two machines must come. */
type Bound = Pick<Family, "within" | "absolute">;

const family = (name: string, takes: string, gives: string, text: string, bound: Bound = {}): Family => ({
  name,
  takes: takes.split(",") as OperandKind[],
  gives: gives.split(",") as ResultKind[],
  text,
  ...bound,
});

const rounding = "<.rn|.rz|.rm|.rp>";
const whole = "<.rni|.rzi|.rmi|.rpi>";
const ordered = "<eq|ne|lt|le|gt|ge|equ|neu|ltu|leu|gtu|geu|num|nan>";

const single: readonly Family[] = [
  family("f32 sums", "f32,f32,f32", "f32", `<add|sub>${rounding}<|.ftz><|.sat>.f32 y0, x0, x1;`),
  family("f32 products", "f32,f32,f32", "f32", `mul${rounding}<|.ftz><|.sat>.f32 y0, x0, x1;`),
  family("f32 fma", "f32,f32,f32", "f32", `fma${rounding}<|.ftz><|.sat>.f32 y0, x0, x1, x2;`),
  family("f32 quotients", "f32,f32,f32", "f32", `div${rounding}<|.ftz>.f32 y0, x0, x1;`),
  family("f32 approximate quotients", "f32,f32,f32", "f32", "div<.approx|.full><|.ftz>.f32 y0, x0, x1;", { within: 3 }),
  family("f32 reciprocals", "f32", "f32", `rcp${rounding}<|.ftz>.f32 y0, x0;`),
  family("f32 roots", "f32", "f32", `sqrt${rounding}<|.ftz>.f32 y0, x0;`),
  family("f32 approximations", "f32", "f32", "<rcp|sqrt|rsqrt|ex2>.approx<|.ftz>.f32 y0, x0;", { within: 4 }),
  family("f32 logarithms", "f32", "f32", "lg2.approx<|.ftz>.f32 y0, x0;", { within: 8, absolute: 2 ** -20 }),
  family("f32 exponentials", "angle", "f32", "ex2.approx<|.ftz>.f32 y0, x0;", { within: 4 }),
  family("f32 angles", "angle", "f32", "<sin|cos>.approx<|.ftz>.f32 y0, x0;", { absolute: 2 ** -15 }),
  family("f32 tanh", "angle", "f32", "tanh.approx.f32 y0, x0;", { within: 1024 }),
  family("f32 extremes", "f32,f32,f32", "f32", "<min|max><|.ftz><|.NaN><|.xorsign.abs>.f32 y0, x0, x1;"),
  family("f32 signs", "f32", "f32", "<abs|neg><|.ftz>.f32 y0, x0;"),
  family("f32 copysign", "f32,f32", "f32", "copysign.f32 y0, x0, x1;"),
  family("f32 classes", "f32", "pred", "testp.<finite|infinite|number|notanumber|normal|subnormal>.f32 y0, x0;"),
  family("f32 comparisons", "f32,f32", "pred", `setp.${ordered}<|.ftz>.f32 y0, x0, x1;`),
  family("f32 set", "f32,f32", "u32", "set.<lt|geu>.<u32|f32|s32><|>.f32 y0, x0, x1;"),
  family("f32 slct", "i32,i32,f32", "u32", "slct<|.ftz>.b32.f32 y0, x0, x1, x2;"),
];

const double: readonly Family[] = [
  family("f64 sums", "f64,f64,f64", "f64", `<add|sub|mul>${rounding}.f64 y0, x0, x1;`),
  family("f64 fma", "f64,f64,f64", "f64", `fma${rounding}.f64 y0, x0, x1, x2;`),
  family("f64 quotients", "f64,f64,f64", "f64", `div${rounding}.f64 y0, x0, x1;`),
  family("f64 reciprocals and roots", "f64", "f64", `<rcp|sqrt>${rounding}.f64 y0, x0;`),
  family("f64 approximations", "f64", "f64", "<rcp|rsqrt>.approx.ftz.f64 y0, x0;", { within: 2 ** 34 }),
  family("f64 reciprocal roots", "f64", "f64", "rsqrt.approx.f64 y0, x0;", { within: 2 }),
  family("f64 extremes", "f64,f64,f64", "f64", "<min|max|copysign>.f64 y0, x0, x1;"),
  family("f64 signs", "f64", "f64", "<abs|neg>.f64 y0, x0;"),
  family("f64 classes", "f64", "pred", "testp.<finite|infinite|number|notanumber|normal|subnormal>.f64 y0, x0;"),
  family("f64 comparisons", "f64,f64", "pred", `setp.${ordered}.f64 y0, x0, x1;`),
];

const halves: readonly Family[] = [
  family("f16 arithmetic", "f16,f16,f16", "f16", "<add|sub|mul>.rn<|.ftz><|.sat>.f16 y0, x0, x1;"),
  family("f16 fma", "f16,f16,f16", "f16", "fma.rn<|.ftz><|.sat|.relu>.f16 y0, x0, x1, x2;"),
  family("f16x2 arithmetic", "f16x2,f16x2,f16x2", "f16x2", "<add|sub|mul>.rn<|.ftz><|.sat>.f16x2 y0, x0, x1;"),
  family("f16x2 fma", "f16x2,f16x2,f16x2", "f16x2", "fma.rn<|.ftz><|.sat|.relu>.f16x2 y0, x0, x1, x2;"),
  family("f16 extremes", "f16,f16,f16", "f16", "<min|max><|.ftz><|.NaN>.f16 y0, x0, x1;"),
  family("f16x2 extremes", "f16x2,f16x2,f16x2", "f16x2", "<min|max><|.ftz><|.NaN>.f16x2 y0, x0, x1;"),
  family("f16 signs", "f16", "f16", "<abs|neg><|.ftz>.f16 y0, x0;"),
  family("f16x2 signs", "f16x2", "f16x2", "<abs|neg><|.ftz>.f16x2 y0, x0;"),
  family("f16 approximations", "f16", "f16", "<tanh.approx|ex2.approx>.f16 y0, x0;", { within: 2 }),
  family("f16x2 approximations", "f16x2", "f16x2", "<tanh.approx|ex2.approx>.f16x2 y0, x0;", { within: 2 }),
  family("f16 comparisons", "f16,f16", "pred", `setp.${ordered}<|.ftz>.f16 y0, x0, x1;`),
  family("f16x2 set", "f16x2,f16x2", "f16x2", "set.<lt|geu|ne><|.ftz>.f16x2.f16x2 y0, x0, x1;"),
  family("bf16 arithmetic", "bf16,bf16,bf16", "bf16", "<add|sub|mul>.rn.bf16 y0, x0, x1;"),
  family("bf16 fma", "bf16,bf16,bf16", "bf16", "fma.rn<|.relu>.bf16 y0, x0, x1, x2;"),
  family("bf16x2 arithmetic", "bf16x2,bf16x2,bf16x2", "bf16x2", "<add|sub|mul>.rn.bf16x2 y0, x0, x1;"),
  family("bf16x2 fma", "bf16x2,bf16x2,bf16x2", "bf16x2", "fma.rn<|.relu>.bf16x2 y0, x0, x1, x2;"),
  family("bf16 extremes", "bf16,bf16,bf16", "bf16", "<min|max><|.NaN>.bf16 y0, x0, x1;"),
  family("bf16x2 extremes", "bf16x2,bf16x2,bf16x2", "bf16x2", "<min|max><|.NaN>.bf16x2 y0, x0, x1;"),
  family("bf16 signs", "bf16", "bf16", "<abs|neg>.bf16 y0, x0;"),
  family("bf16 approximations", "bf16", "bf16", "<tanh.approx|ex2.approx.ftz>.bf16 y0, x0;", { within: 2 }),
  family("bf16 comparisons", "bf16,bf16", "pred", `setp.${ordered}.bf16 y0, x0, x1;`),
];

const conversions: readonly Family[] = [
  family("f32 to 32 bits", "f32", "u32", `cvt${whole}<|.ftz>.<s|u>32.f32 y0, x0;`),
  family("f32 to 64 bits", "f32", "u64", `cvt${whole}<|.ftz>.<s|u>64.f32 y0, x0;`),
  family("f32 to 16 bits", "f32", "u16", `cvt${whole}<|.ftz>.<s|u>16.f32 y0, x0;`),
  family("f32 to 8 bits", "f32", "u32", `cvt${whole}.<s|u>8.f32 y0, x0;`),
  family("f32 to whole", "f32", "f32", `cvt${whole}<|.ftz><|.sat>.f32.f32 y0, x0;`),
  family("f32 to f32", "f32", "f32", "cvt<.sat|.ftz.sat|.ftz>.f32.f32 y0, x0;"),
  family("f32 to f64", "f32", "f64", "cvt<|.ftz><|.sat>.f64.f32 y0, x0;"),
  family("f32 to f16", "f32", "f16", `cvt<.rn|.rz><|.relu>.f16.f32 y0, x0;`),
  family("f32 to f16, directed", "f32", "f16", `cvt<.rn|.rz|.rm|.rp><|.sat|.ftz>.f16.f32 y0, x0;`),
  family("f32 to f16x2", "f32,f32", "f16x2", "cvt<.rn|.rz><|.relu>.f16x2.f32 y0, x0, x1;"),
  family("f32 to bf16", "f32", "bf16", "cvt<.rn|.rz><|.relu>.bf16.f32 y0, x0;"),
  family("f32 to bf16x2", "f32,f32", "bf16x2", "cvt<.rn|.rz><|.relu>.bf16x2.f32 y0, x0, x1;"),
  family("f32 to tf32", "f32", "u32", "cvt.<rna|rn|rz|rn.relu|rz.relu>.tf32.f32 y0, x0;"),
  family("f32 to f8", "f32,f32", "u16", "cvt.rn.satfinite<|.relu>.<e4m3x2|e5m2x2>.f32 y0, x0, x1;"),
  family("f16x2 to f8", "f16x2", "u16", "cvt.rn.satfinite<|.relu>.<e4m3x2|e5m2x2>.f16x2 y0, x0;"),
  family("f8 to f16x2", "i16", "f16x2", "cvt.rn<|.relu>.f16x2.<e4m3x2|e5m2x2> y0, x0;"),
  family("f64 to 32 bits", "f64", "u32", `cvt${whole}.<s|u>32.f64 y0, x0;`),
  family("f64 to 64 bits", "f64", "u64", `cvt${whole}.<s|u>64.f64 y0, x0;`),
  family("f64 to 16 bits", "f64", "u16", `cvt${whole}.<s|u>16.f64 y0, x0;`),
  family("f64 to 8 bits", "f64", "u32", `cvt.rzi.<s|u>8.f64 y0, x0;`),
  family("f64 to f32", "f64", "f32", `cvt${rounding}<|.ftz><|.sat>.f32.f64 y0, x0;`),
  family("f64 to f16", "f64", "f16", `cvt${rounding}.f16.f64 y0, x0;`),
  family("f64 to bf16", "f64", "bf16", `cvt<.rn|.rz>.bf16.f64 y0, x0;`),
  family("f64 to whole", "f64", "f64", `cvt${whole}.f64.f64 y0, x0;`),
  family("f16 to integers", "f16", "u32", `cvt${whole}.<s|u>32.f16 y0, x0;`),
  family("f16 to 64 bits", "f16", "u64", `cvt${whole}.<s|u>64.f16 y0, x0;`),
  family("f16 to 16 bits", "f16", "u16", `cvt${whole}.<s|u>16.f16 y0, x0;`),
  family("f16 to 8 bits", "f16", "u32", `cvt${whole}.<s|u>8.f16 y0, x0;`),
  family("f16 to f32", "f16", "f32", "cvt<|.ftz><|.sat>.f32.f16 y0, x0;"),
  family("f16 to f64", "f16", "f64", "cvt<|.sat>.f64.f16 y0, x0;"),
  family("f16 to whole", "f16", "f16", `cvt${whole}.f16.f16 y0, x0;`),
  family("bf16 to integers", "bf16", "u32", `cvt${whole}.<s|u>32.bf16 y0, x0;`),
  family("bf16 to 64 bits", "bf16", "u64", `cvt${whole}.<s|u>64.bf16 y0, x0;`),
  family("bf16 to 16 bits", "bf16", "u16", `cvt${whole}.<s|u>16.bf16 y0, x0;`),
  family("bf16 to f32", "bf16", "f32", "cvt.f32.bf16 y0, x0;"),
  family("bf16 to f64", "bf16", "f64", "cvt.f64.bf16 y0, x0;"),
  family("bf16 to f16", "bf16", "f16", `cvt${rounding}.f16.bf16 y0, x0;`),
  family("f16 to bf16", "f16", "bf16", `cvt${rounding}.bf16.f16 y0, x0;`),
  family("bf16 to whole", "bf16", "bf16", `cvt${whole}.bf16.bf16 y0, x0;`),
  family("32 bits to f32", "i32", "f32", `cvt${rounding}.f32.<s|u><8|32> y0, x0;`),
  family("32 bits to f64", "i32", "f64", `cvt${rounding}.f64.<s|u><8|32> y0, x0;`),
  family("16 bits to f32", "i16", "f32", `cvt${rounding}.f32.<s|u>16 y0, x0;`),
  family("64 bits to f32", "i64", "f32", `cvt${rounding}<|.sat>.f32.<s|u>64 y0, x0;`),
  family("64 bits to f64", "i64", "f64", `cvt${rounding}.f64.<s|u>64 y0, x0;`),
  family("32 bits to f16", "i32", "f16", `cvt${rounding}<|.sat>.f16.<s|u>32 y0, x0;`),
  family("64 bits to f16", "i64", "f16", `cvt${rounding}.f16.<s|u>64 y0, x0;`),
  family("16 bits to f16", "i16", "f16", `cvt${rounding}.f16.<s|u>16 y0, x0;`),
  family("integers to bf16", "i32", "bf16", `cvt${rounding}.bf16.<s|u>32 y0, x0;`),
  family("64 bits to bf16", "i64", "bf16", `cvt${rounding}.bf16.<s|u>64 y0, x0;`),
  family("32 bits to narrower", "i32", "u32", "cvt.sat.<s|u>8.<s|u>32 y0, x0;"),
  family("32 bits to 16", "i32", "u16", "cvt.sat.<s|u>16.<s|u>32 y0, x0;"),
  family("64 bits to narrower", "i64", "u32", "cvt.sat.<s8|u8|s32|u32>.<s|u>64 y0, x0;"),
  family("32 bits, other sign", "i32", "u32", "cvt.sat.<u32.s32|s32.u32> y0, x0;"),
  family("cvt.pack", "i32,i32", "u32", "cvt.pack.sat.<s16|u16>.s32 y0, x0, x1;"),
  family("cvt.pack of bytes", "i32,i32,i32", "u32", "cvt.pack.sat.<s8|u8|s4|u4|s2|u2>.s32.b32 y0, x0, x1, x2;"),
];

const integers: readonly Family[] = [
  family(
    "fields of 32",
    "i32,count,count",
    "u32",
    "<bfe.u32|bfe.s32|shf.l.clamp.b32|shf.r.clamp.b32|shf.l.wrap.b32> y0, x0, x1, x2;",
  ),
  family("fields of 64", "i64,count,count", "u64", "bfe.<u64|s64> y0, x0, x1, x2;"),
  family("inserted fields of 32", "i32,i32,count,count", "u32", "bfi.b32 y0, x0, x1, x2, x3;"),
  family("inserted fields of 64", "i64,i64,count,count", "u64", "bfi.b64 y0, x0, x1, x2, x3;"),
  family("funnels", "i32,i32,count", "u32", "shf.<l|r>.<clamp|wrap>.b32 y0, x0, x1, x2;"),
  family("shifts of 32", "i32,count", "u32", "<shl.b32|shr.u32|shr.s32> y0, x0, x1;"),
  family("shifts of 64", "i64,count", "u64", "<shl.b64|shr.u64|shr.s64> y0, x0, x1;"),
  family("shifts of 16", "i16,count", "u16", "<shl.b16|shr.u16|shr.s16> y0, x0, x1;"),
  family("masks", "count,count", "u32", "bmsk.<clamp|wrap>.b32 y0, x0, x1;"),
  family("extensions", "i32,count", "u32", "szext.<clamp|wrap>.<s|u>32 y0, x0, x1;"),
  family("bytes", "i32,i32,i32", "u32", "prmt.b32<|.f4e|.b4e|.rc8|.ecl|.ecr|.rc16> y0, x0, x1, x2;"),
  family(
    "found bits of 32",
    "i32",
    "u32",
    "<bfind.u32|bfind.s32|bfind.shiftamt.u32|bfind.shiftamt.s32|popc.b32|clz.b32|brev.b32|cnot.b32|abs.s32|neg.s32> y0, x0;",
  ),
  family(
    "found bits of 64",
    "i64",
    "u32",
    "<bfind.u64|bfind.s64|bfind.shiftamt.u64|bfind.shiftamt.s64|popc.b64|clz.b64> y0, x0;",
  ),
  family("fns", "i32,count,count", "u32", "fns.b32 y0, x0, x1, x2;"),
  family(
    "dot products",
    "i32,i32,i32",
    "u32",
    "<dp4a.s32.s32|dp4a.s32.u32|dp4a.u32.s32|dp4a.u32.u32|dp2a.lo.s32.s32|dp2a.hi.s32.u32|dp2a.lo.u32.s32|dp2a.hi.u32.u32> y0, x0, x1, x2;",
  ),
  family("24 bits", "i32,i32,i32", "u32", "mad24.<lo|hi>.<s|u>32 y0, x0, x1, x2;"),
  family(
    "saturated 24 bits",
    "i32,i32,i32",
    "u32",
    "<mad24.hi.sat.s32|mad.hi.sat.s32|sad.s32|sad.u32|mad.lo.s32|mad.hi.u32|mad.hi.s32> y0, x0, x1, x2;",
  ),
  family(
    "two operands of 32",
    "i32,i32",
    "u32",
    "<add.sat.s32|sub.sat.s32|mul24.lo.u32|mul24.hi.s32|mul24.hi.u32|min.relu.s32|max.relu.s32|mul.hi.u32|mul.hi.s32> y0, x0, x1;",
  ),
  family(
    "pairs of 16 bits",
    "i32,i32",
    "u32",
    "<add.u16x2|add.s16x2|min.s16x2|max.s16x2|min.u16x2|max.u16x2|min.relu.s16x2|max.relu.s16x2> y0, x0, x1;",
  ),
  family("quotients of 32", "i32,i32", "u32", "<div|rem>.<s|u>32 y0, x0, x1;"),
  family("quotients of 64", "i64,i64", "u64", "<div|rem>.<s|u>64 y0, x0, x1;"),
  family("quotients of 16", "i16,i16", "u16", "<div|rem>.<s|u>16 y0, x0, x1;"),
  family(
    "video",
    "i32,i32,i32",
    "u32",
    "<vabsdiff4.u32.u32.u32.add|vabsdiff4.s32.s32.s32.add|vabsdiff4.u32.s32.s32.add|vabsdiff2.s32.s32.s32.add|vsub.u32.u32.u32.add|vmin.s32.u32.s32.max|vadd.s32.u32.s32.sat.min> y0, x0, x1, x2;",
  ),
  family(
    "lop3 and predicate",
    "i32,i32,i32",
    "u32,pred",
    "{ .reg .pred q; setp.lt.s32 q, x0, x1; lop3.<or|and>.b32 y0|y1, x0, x1, x2, <0x3f|0x96>, q; }",
  ),
];

const warps: readonly Family[] = [
  family("shuffles", "i32,count,count", "u32,pred", "shfl.sync.<up|down|bfly|idx>.b32 y0|y1, x0, x1, x2, -1;"),
  family("votes", "i32", "u32", "{ .reg .pred q; setp.gt.s32 q, x0, 0; vote.sync.ballot.b32 y0, q, -1; }"),
  family(
    "vote predicates",
    "i32",
    "pred",
    "{ .reg .pred q; setp.gt.s32 q, x0, -2000000000; vote.sync.<all|any|uni>.pred y0, q, -1; }",
  ),
  family("matches", "count,count", "u32,pred", "{ match.all.sync.b32 y0|y1, x0, -1; match.any.sync.b32 y0, x1, -1; }"),
  family(
    "reductions",
    "i32",
    "u32",
    "redux.sync.<add.s32|add.u32|min.s32|max.s32|min.u32|max.u32|and.b32|or.b32|xor.b32> y0, x0, -1;",
  ),
];

const atomics: readonly Family[] = [
  family("atomics on f32", "f32,f32", "f32,memory f32", "{ st.global.b32 [m], x0; atom.global.add.f32 y0, [m], x1; }"),
  family("reductions on f32", "f32,f32", "memory f32", "{ st.global.b32 [m], x0; red.global.add.f32 [m], x1; }"),
  family(
    "atomics on f16x2",
    "f16x2,f16x2",
    "f16x2,memory f16x2",
    "{ st.global.b32 [m], x0; atom.global.add.noftz.f16x2 y0, [m], x1; }",
  ),
  family(
    "atomics on bf16x2",
    "bf16x2,bf16x2",
    "bf16x2,memory bf16x2",
    "{ st.global.b32 [m], x0; atom.global.add.noftz.bf16x2 y0, [m], x1; }",
  ),
  family(
    "atomics on f16",
    "f16,f16",
    "f16,memory f16",
    "{ st.global.b16 [m], x0; atom.global.add.noftz.f16 y0, [m], x1; }",
  ),
  family(
    "atomics on bf16",
    "bf16,bf16",
    "bf16,memory bf16",
    "{ st.global.b16 [m], x0; atom.global.add.noftz.bf16 y0, [m], x1; }",
  ),
  family(
    "atomics on 32 bits",
    "i32,i32,i32",
    "u32,memory u32",
    "{ st.global.b32 [m], x0; atom.global.<inc.u32|dec.u32|min.s32|max.u32|and.b32|exch.b32> y0, [m], x1; }",
  ),
  family(
    "shared atomics on f32",
    "f32,f32",
    "f32",
    "{ .shared .align 4 .b32 s[128]; .reg .b32 t, u; mov.u32 t, %tid.x; shl.b32 t, t, 2; mov.u32 u, s; add.u32 t, t, u; st.shared.b32 [t], x0; atom.shared.add.f32 y0, [t], x1; ld.shared.b32 y0, [t]; }",
  ),
];

const ab = "{x0, x1, x2, x3}, {x4, x5}";
const tameHalves = "tame f16x2,tame f16x2,tame f16x2,tame f16x2,tame f16x2,tame f16x2";
const tameBfloats = tameHalves.replaceAll("f16", "bf16");
const tameSingles = "tame f32,tame f32,tame f32,tame f32";
const bits = "bits32,bits32,bits32,bits32,bits32,bits32";
const matrices: readonly Family[] = [
  family(
    "products of f16 in f32",
    `${tameHalves},${tameSingles}`,
    "f32,f32,f32,f32",
    `mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {y0, y1, y2, y3}, ${ab}, {x6, x7, x8, x9};`,
    { absolute: 2 ** -7 },
  ),
  family(
    "narrow products of f16 in f32",
    `${tameHalves},${tameSingles}`,
    "f32,f32,f32,f32",
    "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {y0, y1, y2, y3}, {x0, x1}, {x4}, {x6, x7, x8, x9};",
    { absolute: 2 ** -7 },
  ),
  family(
    "products of f16 in f16",
    `${tameHalves},tame f16x2,tame f16x2`,
    "f16x2,f16x2",
    `mma.sync.aligned.m16n8k16.row.col.f16.f16.f16.f16 {y0, y1}, ${ab}, {x6, x7};`,
    { within: 2 },
  ),
  family(
    "products of bf16",
    `${tameBfloats},${tameSingles}`,
    "f32,f32,f32,f32",
    `mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {y0, y1, y2, y3}, ${ab}, {x6, x7, x8, x9};`,
    { absolute: 2 ** -7 },
  ),
  family(
    "products of tf32",
    `${tameHalves.replaceAll("f16x2", "tf32")},${tameSingles}`,
    "f32,f32,f32,f32",
    `mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {y0, y1, y2, y3}, ${ab}, {x6, x7, x8, x9};`,
    { absolute: 2 ** -7 },
  ),
  // Sums as large as the largest products, of which the last bits are cut off.
  ...Object.entries({ "e4m3.e4m3": 1, "e4m3.e5m2": 2 ** 7, "e5m2.e5m2": 2 ** 14 }).map(([types, absolute]) =>
    family(
      `products of ${types}`,
      `${bits},${tameSingles}`,
      "f32,f32,f32,f32",
      `mma.sync.aligned.m16n8k32.row.col.f32.${types}.f32 {y0, y1, y2, y3}, ${ab}, {x6, x7, x8, x9};`,
      { absolute },
    ),
  ),
  family(
    "products of s8",
    `${bits},i32,i32,i32,i32`,
    "u32,u32,u32,u32",
    `mma.sync.aligned.m16n8k32.row.col<|.satfinite>.s32.<s8.s8|u8.s8|u8.u8>.s32 {y0, y1, y2, y3}, ${ab}, {x6, x7, x8, x9};`,
  ),
  family(
    "products of f64",
    "tame f64,tame f64,tame f64,tame f64",
    "f64,f64",
    "mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {y0, y1}, {x0}, {x1}, {x2, x3};",
    { within: 2 },
  ),
  family("turned matrices", "i32", "u32", "movmatrix.sync.aligned.m8n8.trans.b16 y0, x0;"),
];

export const families: readonly Family[] = [
  ...single,
  ...double,
  ...halves,
  ...conversions,
  ...integers,
  ...warps,
  ...atomics,
  ...matrices,
];

/** Whether all machines must give the same numbers. */
export const isExact = ({ within = 0, absolute = 0 }: Family): boolean => within === 0 && absolute === 0;

function expand(text: string): string[] {
  const found = /<([^<>]*)>/.exec(text);
  if (found === null) return [text];
  const [before, after] = [text.slice(0, found.index), text.slice(found.index + found[0].length)];
  return found[1]!.split("|").flatMap((choice) => expand(`${before}${choice}${after}`));
}

/** The forms of a family, in order. */
export const formsOf = ({ text, forms }: Pick<Family, "text" | "forms">): readonly string[] => forms ?? expand(text);

/** Compute capabilities, as major * 10 + minor, below which PTX does not know a form; the first that fits counts. Those that fit none are for 75. */
const needs: readonly (readonly [capability: number, forms: RegExp])[] = [
  [90, /^(add|sub|mul)\.rn\.bf16|^(tanh|ex2)\.approx\S*\.bf16|^setp\.\S*\.bf16|^\{.*atom\S*\.bf16/],
  [90, /^cvt\.\S*\.bf16\.(?!f32 )|^cvt\.(?!f32\.bf16 )\S*\.bf16 |^cvt\.(?!rna)\S*\.tf32\./],
  [90, /^(add|min|max)\S*\.[su]16x2 |^(min|max)\.relu\.s32 /],
  [89, /\.e[45]m[23]/],
  [86, /\.xorsign/],
  [80, /bf16|tf32|\.relu|\.NaN|^(min|max)\S*\.f16|^cvt\S*\.f16x2\.f32 |^redux|m16n8k(16|32)|m8n8k4/],
];

/** The least compute capability that a form needs, as major * 10 + minor. */
export const capabilityOf = (form: string): number => needs.find(([, forms]) => forms.test(form))?.[0] ?? 75;

/** The family with the forms that such a device knows; undefined where it knows none. */
export function familyFor(whole: Family, capability: number): Family | undefined {
  const forms = formsOf(whole).filter((form) => capabilityOf(form) <= capability);
  return forms.length === 0 ? undefined : { ...whole, forms };
}
