/**
 * Results that `.ftz` makes zeros. Hardware tells by the exact result, rounded as if exponents had no end: one just below the smallest normal number is
 * flushed although it would be rounded to that number. So products, quotients and what is made of them are looked at once more where they come out so.
 */
import type { Emitter } from "../compile/emitter.ts";

/** Smallest normal 32-bit number. */
export const NORMAL_MIN = 2 ** -126;

/** The last number below the smallest normal one, if exponents had no end. */
const LAST_BELOW = NORMAL_MIN * (1 - 2 ** -24);
/** From here on the smallest normal number is the nearest. */
const HALFWAY = NORMAL_MIN * (1 - 2 ** -25);

/** Leaves whether an exact result in a local is flushed: where rounding it does not reach the smallest normal number. */
function pushIsFlushed(emitter: Emitter, exact: number, rounding: "rn" | "rz" | "rm" | "rp"): void {
  const { code } = emitter;
  const isBelow = (end: number) => code.get(exact).op("f64.abs").f64(end).op("f64.lt");
  if (rounding === "rn") isBelow(HALFWAY);
  else if (rounding === "rz") isBelow(NORMAL_MIN);
  else {
    // Away from zero on one side, towards it on the other.
    isBelow(NORMAL_MIN);
    code.get(exact).f64(rounding === "rp" ? LAST_BELOW : -LAST_BELOW);
    code.op(rounding === "rp" ? "f64.le" : "f64.ge").op("i32.and");
  }
}

export type TinyOperation = "mul" | "div" | "fma";

/** Whether a result of the operation may be rounded up to the smallest normal number. Sums are exact there. */
export const mayBeTiny = (name: string): name is TinyOperation => name === "mul" || name === "div" || name === "fma";

/** Pops the operands into locals and pushes them again. */
export function keepOperands(emitter: Emitter, count: number): number[] {
  const { code } = emitter;
  const locals = Array.from({ length: count }, (_, at) => emitter.scratch("f32", `tiny ${at}`));
  for (const local of [...locals].reverse()) code.set(local);
  for (const local of locals) code.get(local);
  return locals;
}

/** Replaces the result on the stack by a zero with its sign where it is to be flushed. */
export function flushTiny(
  emitter: Emitter,
  { name, rounding }: { name: TinyOperation; rounding: "rn" | "rz" | "rm" | "rp" },
  [x, y, z]: readonly number[],
): void {
  const { code } = emitter;
  const result = emitter.scratch("f32", "tiny result");
  code.set(result).get(result).op("f32.abs").f32(NORMAL_MIN).op("f32.le");
  code.if();
  // In 64 bits the product is exact, the quotient far enough, and a sum keeps in its last bit that something was lost.
  code.get(x!).op("f64.promote_f32").get(y!).op("f64.promote_f32");
  code.op(name === "div" ? "f64.div" : "f64.mul");
  if (name === "fma") {
    code.get(z!).op("f64.promote_f32");
    emitter.helper("add_odd");
  }
  const exact = emitter.scratch("f64", "tiny exact");
  code.set(exact);
  pushIsFlushed(emitter, exact, rounding);
  code.if();
  code.f32(0).get(result).op("f32.copysign").set(result);
  code.end();
  code.end();
  code.get(result);
}
