/**
 * Float helpers: rounding modes, fused multiply-add, and the approximate functions, which are as accurate as their type allows.
 * See wasm/assembly.ts for the notation.
 */
import type { Assembly } from "../wasm/assembly.ts";

/** Rounds a 64-bit float to 32 bits in one direction: rounds to nearest, then takes one step where that went too far. */
const demote = (tooFar: string, towards: string): Assembly => ({
  params: "x:f64",
  result: "f32",
  locals: "r:f32 back:f64 bits:i32",
  body: `
    $x f32.demote_f64 &r f64.promote_f32 =back
    ${tooFar}
    if<f32 $r i32.reinterpret_f32 &bits ${towards} i32.add f32.reinterpret_i32
    else $r end`,
});
/** One step down for positive numbers is one up for the bits of negative ones. */
const down = "$bits i32.const 31 i32.shr_s i32.const 1 i32.or i32.const -1 i32.mul";
const up = "$bits i32.const 31 i32.shr_s i32.const 1 i32.or";

/** A 64-bit sum rounded to odd: what was lost shows in the last bit, so that rounding again to 32 bits is exact. */
const addOdd: Assembly = {
  params: "a:f64 b:f64",
  result: "f64",
  locals: "s:f64 t:f64 e:f64 bits:i64",
  body: `
    $a $b f64.add &s $a f64.sub =t
    $a $s $t f64.sub f64.sub $b $t f64.sub f64.add =e
    $e f64.const 0 f64.eq $s $s f64.sub f64.const 0 f64.ne i32.or if $s return end
    $s i64.reinterpret_f64 &bits i64.const 1 i64.and i64.eqz
    if<f64
      $bits i64.const 1 i64.const -1 $e f64.const 0 f64.gt $s f64.const 0 f64.gt i32.eq select i64.add f64.reinterpret_i64
    else $s end`,
};

/** Rounding down, a sum that is exactly zero is negative unless both parts are positive zeroes. */
const addOddDown: Assembly = {
  params: "a:f64 b:f64",
  result: "f64",
  body: `
    $a $b f64.add f64.const 0 f64.eq $a i64.reinterpret_f64 $b i64.reinterpret_f64 i64.or i64.const 0 i64.ne i32.and
    if<f64 f64.const -0 else $a $b @add_odd end`,
};

const exactProductSum = "$a f64.promote_f32 $b f64.promote_f32 f64.mul $c f64.promote_f32";

/** A fused multiply-add in software, after Boldo and Melquiond, for the range in which no part over- or underflows. */
const fma64: Assembly = {
  params: "a:f64 b:f64 c:f64",
  result: "f64",
  locals: "p:f64 t:f64 ah:f64 al:f64 bh:f64 bl:f64 ul:f64 th:f64 tl:f64 vh:f64 vl:f64",
  body: `
    $a $b f64.mul =p
    $a f64.const 0 f64.eq $b f64.const 0 f64.eq i32.or if $p $c f64.add return end
    $p f64.abs f64.const 1e250 f64.lt $p f64.abs f64.const 1e-250 f64.gt i32.and
    $c f64.abs f64.const 1e250 f64.lt $c f64.abs f64.const 1e-250 f64.gt i32.and i32.and
    $a f64.abs f64.const 1e290 f64.lt $b f64.abs f64.const 1e290 f64.lt i32.and i32.and
    i32.eqz if i32.const 8 $a $b $c @exact return end
    $a f64.const 134217729 f64.mul =t $t $t $a f64.sub f64.sub =ah $a $ah f64.sub =al
    $b f64.const 134217729 f64.mul =t $t $t $b f64.sub f64.sub =bh $b $bh f64.sub =bl
    $ah $bh f64.mul $p f64.sub $ah $bl f64.mul f64.add $al $bh f64.mul f64.add $al $bl f64.mul f64.add =ul
    $c $ul f64.add &th $c f64.sub =t $c $th $t f64.sub f64.sub $ul $t f64.sub f64.add =tl
    $p $th f64.add &vh $p f64.sub =t $p $vh $t f64.sub f64.sub $th $t f64.sub f64.add =vl
    $vh $tl $vl @add_odd f64.add`,
};

/** 2^x: the fraction by a polynomial in 64 bits, which leaves an error far below one 32-bit step. */
const ex2: Assembly = {
  params: "x:f32",
  result: "f32",
  locals: "y:f64 n:f64 f:f64",
  body: `
    $x f64.promote_f32 f64.const -300 f64.max f64.const 300 f64.min &y f64.nearest =n
    $y $n f64.sub f64.const 0.6931471805599453 f64.mul =f
    f64.const 1 ${Array.from({ length: 10 }, (_, index) => 10 - index)
      .map((order) => `$f f64.const ${1 / order} f64.mul f64.mul f64.const 1 f64.add`)
      .join(" ")}
    $n i64.trunc_sat_f64_s i64.const 1023 i64.add i64.const 52 i64.shl f64.reinterpret_i64 f64.mul
    f32.demote_f64`,
};

const through64 = (call: string): Assembly => ({
  params: "x:f32",
  result: "f32",
  body: `$x f64.promote_f32 ${call} f32.demote_f64`,
});

const splat = (name: string, shape: string) => `$${name} ${shape}.splat`;

/** Directed roundings of 32-bit operations go through 64 bits: sums to odd, products exact, quotients and roots far enough. */
const directed = (mode: "rz" | "rm" | "rp"): Record<string, Assembly> => ({
  [`add_f32_${mode}`]: {
    params: "a:f32 b:f32",
    result: "f32",
    body: `$a f64.promote_f32 $b f64.promote_f32 @${mode === "rm" ? "add_odd_rm" : "add_odd"} @demote_${mode}`,
  },
  [`sub_f32_${mode}`]: {
    params: "a:f32 b:f32",
    result: "f32",
    body: `$a f64.promote_f32 $b f64.promote_f32 f64.neg @${mode === "rm" ? "add_odd_rm" : "add_odd"} @demote_${mode}`,
  },
  [`mul_f32_${mode}`]: {
    params: "a:f32 b:f32",
    result: "f32",
    body: `$a f64.promote_f32 $b f64.promote_f32 f64.mul @demote_${mode}`,
  },
  [`div_f32_${mode}`]: {
    params: "a:f32 b:f32",
    result: "f32",
    body: `$a f64.promote_f32 $b f64.promote_f32 f64.div @demote_${mode}`,
  },
  [`sqrt_f32_${mode}`]: {
    params: "a:f32",
    result: "f32",
    body: `$a f64.promote_f32 f64.sqrt @demote_${mode}`,
  },
  [`fma_f32_${mode}`]: {
    params: "a:f32 b:f32 c:f32",
    result: "f32",
    body: `${exactProductSum} @${mode === "rm" ? "add_odd_rm" : "add_odd"} @demote_${mode}`,
  },
});

export const floatHelpers: Readonly<Record<string, Assembly>> = {
  demote_rz: demote("$back f64.abs $x f64.abs f64.gt", "i32.const -1"),
  demote_rm: demote("$back $x f64.gt", down),
  demote_rp: demote("$back $x f64.lt", up),
  add_odd: addOdd,
  add_odd_rm: addOddDown,
  ...directed("rz"),
  ...directed("rm"),
  ...directed("rp"),
  fma_f32: { params: "a:f32 b:f32 c:f32", result: "f32", body: `${exactProductSum} @add_odd f32.demote_f64` },
  "fma_f32.fused": {
    params: "a:f32 b:f32 c:f32",
    result: "f32",
    body: `${splat("a", "f32x4")} ${splat("b", "f32x4")} ${splat("c", "f32x4")} f32x4.relaxed_madd f32x4.extract0`,
  },
  fma_f64: fma64,
  "fma_f64.fused": {
    params: "a:f64 b:f64 c:f64",
    result: "f64",
    body: `${splat("a", "f64x2")} ${splat("b", "f64x2")} ${splat("c", "f64x2")} f64x2.relaxed_madd f64x2.extract0`,
  },
  ex2,
  lg2: through64("@log f64.const 1.4426950408889634 f64.mul"),
  sin: through64("@sin"),
  cos: through64("@cos"),
  tanh: through64("@tanh"),
};
