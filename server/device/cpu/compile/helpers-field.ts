/** Helpers on fields and lanes of a 32-bit word. See wasm/assembly.ts for the notation. */
import type { Assembly } from "../wasm/assembly.ts";

const word = (params: string, body: string, locals = ""): Assembly => ({
  params: params
    .split(" ")
    .map((name) => `${name}:i32`)
    .join(" "),
  result: "i32",
  locals,
  body,
});

/** The place of the n-th one from bit `base` on, upwards for a positive n, downwards for a negative one; all ones where there is none. */
const findNth: Assembly = word(
  "mask base n",
  `
    $n i32.const 0x80000000 i32.eq if i32.const 0 return end
    $n i32.eqz if i32.const 1 =rest else $n $n i32.const 31 i32.shr_s &step i32.xor $step i32.sub =rest end
    i32.const 1 i32.const -1 $n i32.const 0 i32.ge_s select =step
    loop
      $base i32.const 32 i32.lt_u
      if
        $mask $base i32.shr_u i32.const 1 i32.and
        if $rest i32.const 1 i32.sub &rest i32.eqz if $base return end end
        $n
        if $base $step i32.add =base br 2 end
      end
    end
    i32.const -1`,
  "rest:i32 step:i32",
);

const lane = (name: string, { bits, at, sign }: { bits: 8 | 16; at: number; sign: "s" | "u" }): string =>
  `$${name} i32.const ${32 - bits * (at + 1)} i32.shl i32.const ${32 - bits} i32.shr_${sign}`;

/** Absolute differences of lanes, side by side or added up to `c`. */
function differences(bits: 8 | 16, sign: "s" | "u", isSum: boolean): Assembly {
  const lanes = Array.from({ length: 32 / bits }, (_, at) => at);
  const each = (at: number) =>
    `${lane("a", { bits, at, sign })} ${lane("b", { bits, at, sign })} i32.sub &d $d i32.const 31 i32.shr_s &s i32.xor $s i32.sub`;
  const placed = (at: number) => `${each(at)} i32.const ${2 ** bits - 1} i32.and i32.const ${bits * at} i32.shl i32.or`;
  const start = isSum ? "$c" : "i32.const 0";
  return word(
    "a b c",
    `${start} ${lanes.map((at) => (isSum ? `${each(at)} i32.add` : placed(at))).join(" ")}`,
    "d:i32 s:i32",
  );
}

/** Two 16-bit lanes of a times two bytes of b, the lower or the upper ones, added to c. */
const dot2 = (half: "lo" | "hi", left: "s" | "u", right: "s" | "u"): Assembly => {
  const first = half === "lo" ? 0 : 2;
  const each = (at: number) =>
    `${lane("a", { bits: 16, at, sign: left })} ${lane("b", { bits: 8, at: first + at, sign: right })} i32.mul i32.add`;
  return word("a b c", `$c ${each(0)} ${each(1)}`);
};

const signs = ["s", "u"] as const;

export const fieldHelpers: Readonly<Record<string, Assembly>> = {
  fns: findNth,
  ...Object.fromEntries(
    signs.flatMap((sign) =>
      ([8, 16] as const).flatMap((bits) => [
        [`differences${bits}_${sign}`, differences(bits, sign, false)],
        [`differences${bits}_${sign}_add`, differences(bits, sign, true)],
      ]),
    ),
  ),
  ...Object.fromEntries(
    (["lo", "hi"] as const).flatMap((half) =>
      signs.flatMap((left) => signs.map((right) => [`dp2a_${half}_${left}_${right}`, dot2(half, left, right)])),
    ),
  ),
};
