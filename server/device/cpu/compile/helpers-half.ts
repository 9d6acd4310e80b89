/**
 * Helpers for floats of 16 bits, which are held as their bits: f16 (11 significant bits) and bf16 (the upper half of a 32-bit float).
 * Arithmetic is done in 64 bits and rounded once here. See wasm/assembly.ts for the notation.
 */
import type { Assembly } from "../wasm/assembly.ts";

interface Half {
  /** Bits of the fraction. */
  readonly fraction: number;
  readonly bias: number;
}

const formats = { f16: { fraction: 10, bias: 15 }, bf16: { fraction: 7, bias: 127 } } as const;

type Mode = "rn" | "rz" | "rm" | "rp";
const modes: readonly Mode[] = ["rn", "rz", "rm", "rp"];

/** A 64-bit float becomes the bits of the nearest half in the mode's direction; NaN is 0x7fff, as the hardware makes it. */
function narrow({ fraction, bias }: Half, mode: Mode): Assembly {
  const dropped = 52 - fraction;
  const below = (1n << BigInt(dropped)) - 1n;
  const infinity = (2 * bias + 1) << fraction;
  const whole = { rn: "f64.nearest", rz: "f64.trunc", rm: "f64.floor", rp: "f64.ceil" }[mode];
  // What is added before the dropped bits are cut.
  const carry = {
    rn: `$bits i64.const ${dropped} i64.shr_u i64.const 1 i64.and i64.const ${below >> 1n} i64.add`,
    rz: "i64.const 0",
    rm: `i64.const ${below} i64.const 0 $sign select`,
    rp: `i64.const 0 i64.const ${below} $sign select`,
  }[mode];
  const overflow = {
    rn: `i32.const ${infinity}`,
    rz: `i32.const ${infinity - 1}`,
    rm: `i32.const ${infinity} i32.const ${infinity - 1} $sign select`,
    rp: `i32.const ${infinity - 1} i32.const ${infinity} $sign select`,
  }[mode];
  return {
    params: "x:f64",
    result: "i32",
    locals: "bits:i64 sign:i32 half:i32",
    body: `
      $x $x f64.ne if i32.const 0x7fff return end
      $x i64.reinterpret_f64 &bits i64.const 63 i64.shr_u i32.wrap_i64 =sign
      $bits i64.const 0x7fffffffffffffff i64.and =bits
      $x f64.abs f64.const ${2 ** (1 - bias)} f64.lt
      if $x f64.const ${2 ** (bias - 1 + fraction)} f64.mul ${whole} f64.abs i32.trunc_sat_f64_u =half
      else
        $bits ${carry} i64.add i64.const ${dropped} i64.shr_u i64.const ${(1023 - bias) << fraction} i64.sub &bits
        i64.const ${infinity} $bits i64.const ${infinity} i64.lt_s select i32.wrap_i64 =half
        $half i32.const ${infinity} i32.eq $x f64.abs f64.const Infinity f64.lt i32.and
        if ${overflow} =half end
      end
      $half $sign i32.const 15 i32.shl i32.or`,
  };
}

/** Bits of an f16 as a 32-bit float, exactly. */
const widenF16: Assembly = {
  params: "half:i32",
  result: "f32",
  locals: "bits:i32",
  body: `
    $half i32.const 0x7fff i32.and i32.const 13 i32.shl =bits
    $half i32.const 0x7c00 i32.and i32.const 0x7c00 i32.eq
    if<f32 $bits i32.const 0x70000000 i32.add f32.reinterpret_i32
    else $bits f32.reinterpret_i32 f32.const ${2 ** 112} f32.mul end
    $half i32.const 16 i32.shl f32.reinterpret_i32 f32.copysign`,
};

const widenBf16: Assembly = {
  params: "half:i32",
  result: "f32",
  body: "$half i32.const 16 i32.shl f32.reinterpret_i32",
};

/** Floats of 8 bits as 32-bit floats, by way of the f16 with the same fields; the exponent of e4m3 counts from 7 rather than 15. */
const widenE5m2: Assembly = { params: "byte:i32", result: "f32", body: "$byte i32.const 8 i32.shl @widen_f16" };
const widenE4m3: Assembly = {
  params: "byte:i32",
  result: "f32",
  body: `
    $byte i32.const 127 i32.and i32.const 127 i32.eq if f32.const NaN return end
    $byte i32.const 128 i32.and i32.const 8 i32.shl $byte i32.const 127 i32.and i32.const 7 i32.shl i32.or
    @widen_f16 f32.const 256 f32.mul`,
};

export const halfHelpers: Readonly<Record<string, Assembly>> = {
  widen_f16: widenF16,
  widen_bf16: widenBf16,
  widen_e4m3: widenE4m3,
  widen_e5m2: widenE5m2,
  ...Object.fromEntries(modes.map((mode) => [`narrow_f16_${mode}`, narrow(formats.f16, mode)])),
  ...Object.fromEntries(modes.map((mode) => [`narrow_bf16_${mode}`, narrow(formats.bf16, mode)])),
};
