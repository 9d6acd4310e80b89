/** Integer helpers: divisions that do not trap, high products, bit fields. See wasm/assembly.ts for the notation. */
import type { Assembly } from "../wasm/assembly.ts";

type Word = "i32" | "i64";
const both = (word: Word) => `a:${word} b:${word}`;

/** Division by zero gives all ones, as NVIDIA's code sequences do; the smallest number over -1 wraps. */
const divide = (word: Word): Record<string, Assembly> => {
  const zero = `$b ${word}.eqz`;
  const minusOne = `$b ${word}.const -1 ${word}.eq`;
  return {
    [`div_u_${word}`]: {
      params: both(word),
      result: word,
      body: `${zero} if<${word} ${word}.const -1 else $a $b ${word}.div_u end`,
    },
    [`rem_u_${word}`]: {
      params: both(word),
      result: word,
      body: `${zero} if<${word} ${word}.const -1 else $a $b ${word}.rem_u end`,
    },
    [`div_s_${word}`]: {
      params: both(word),
      result: word,
      body: `${zero} if<${word} ${word}.const -1 else ${minusOne} if<${word} ${word}.const 0 $a ${word}.sub else $a $b ${word}.div_s end end`,
    },
    [`rem_s_${word}`]: {
      params: both(word),
      result: word,
      body: `${zero} if<${word} ${word}.const -1 else ${minusOne} if<${word} ${word}.const 0 else $a $b ${word}.rem_s end end`,
    },
  };
};

const highProduct: Assembly = {
  params: "a:i64 b:i64",
  result: "i64",
  locals: "al:i64 ah:i64 bl:i64 bh:i64 mid:i64",
  body: `
    $a i64.const 0xffffffff i64.and =al $a i64.const 32 i64.shr_u =ah
    $b i64.const 0xffffffff i64.and =bl $b i64.const 32 i64.shr_u =bh
    $ah $bl i64.mul $al $bl i64.mul i64.const 32 i64.shr_u i64.add =mid
    $ah $bh i64.mul $mid i64.const 32 i64.shr_u i64.add
    $al $bh i64.mul $mid i64.const 0xffffffff i64.and i64.add i64.const 32 i64.shr_u i64.add`,
};

/** The signed high product is the unsigned one less each factor where the other is negative. */
const highProductSigned: Assembly = {
  params: "a:i64 b:i64",
  result: "i64",
  body: `$a $b @mul_hi_u64
    $a i64.const 63 i64.shr_s $b i64.and i64.sub
    $b i64.const 63 i64.shr_s $a i64.and i64.sub`,
};

/** Bit fields: of 32 bits by the low bytes of `at` and `count`; of 64 bits by all of them, as hardware has it, though the manual names the low bytes. */
const fields = (word: Word): Record<string, Assembly> => {
  const bits = word === "i32" ? 32 : 64;
  const wide = (name: string) => (word === "i32" ? `$${name}` : `$${name} i64.extend_i32_u`);
  const clip = word === "i32" ? "$at i32.const 0xff i32.and =at $count i32.const 0xff i32.and =count" : "";
  const nothing = `$at i32.const ${bits} i32.ge_u $count i32.eqz i32.or`;
  const mask = `$count i32.const ${bits} i32.ge_u if<${word} ${word}.const -1 else ${word}.const 1 ${wide("count")} ${word}.shl ${word}.const 1 ${word}.sub end`;
  return {
    [`bfe_u_${word}`]: {
      params: `a:${word} at:i32 count:i32`,
      result: word,
      body: `${clip} ${nothing} if<${word} ${word}.const 0 else $a ${wide("at")} ${word}.shr_u ${mask} ${word}.and end`,
    },
    [`bfe_s_${word}`]: {
      params: `a:${word} at:i32 count:i32`,
      result: word,
      body: `${clip} $count i32.eqz if ${word}.const 0 return end
        $at i32.const ${bits - 1} i32.gt_u if i32.const ${bits - 1} =at end
        $a ${wide("at")} ${word}.shr_s =a
        $count i32.const ${bits} i32.ge_u if $a return end
        i32.const ${bits} $count i32.sub =count
        $a ${wide("count")} ${word}.shl ${wide("count")} ${word}.shr_s`,
    },
    [`bfi_${word}`]: {
      params: `a:${word} b:${word} at:i32 count:i32`,
      result: word,
      locals: `mask:${word}`,
      body: `${clip} ${nothing} if $b return end
        ${mask} ${wide("at")} ${word}.shl =mask
        $b $mask ${word}.const -1 ${word}.xor ${word}.and $a ${wide("at")} ${word}.shl $mask ${word}.and ${word}.or`,
    },
  };
};

const swap = (word: Word, mask: string, shift: number) =>
  `$a ${word}.const ${shift} ${word}.shr_u ${word}.const ${mask} ${word}.and $a ${word}.const ${mask} ${word}.and ${word}.const ${shift} ${word}.shl ${word}.or =a`;

const reverse32: Assembly = {
  params: "a:i32",
  result: "i32",
  body: `${swap("i32", "0x55555555", 1)} ${swap("i32", "0x33333333", 2)} ${swap("i32", "0x0f0f0f0f", 4)} ${swap("i32", "0x00ff00ff", 8)} $a i32.const 16 i32.rotl`,
};
const reverse64: Assembly = {
  params: "a:i64",
  result: "i64",
  body: `${swap("i64", "0x5555555555555555", 1)} ${swap("i64", "0x3333333333333333", 2)} ${swap("i64", "0x0f0f0f0f0f0f0f0f", 4)} ${swap("i64", "0x00ff00ff00ff00ff", 8)} ${swap("i64", "0x0000ffff0000ffff", 16)} $a i64.const 32 i64.rotl`,
};

/** Picks four of eight bytes; bit 3 of a selector copies the byte's sign instead. */
const permute: Assembly = {
  params: "a:i32 b:i32 selector:i32",
  result: "i32",
  locals: "bytes:i64 byte:i32 nibble:i32 out:i32",
  body: `$a i64.extend_i32_u $b i64.extend_i32_u i64.const 32 i64.shl i64.or =bytes
    ${[0, 1, 2, 3]
      .map(
        (index) => `
      $selector i32.const ${index * 4} i32.shr_u i32.const 15 i32.and =nibble
      $bytes $nibble i32.const 7 i32.and i32.const 3 i32.shl i64.extend_i32_u i64.shr_u i32.wrap_i64 i32.extend8_s =byte
      $byte i32.const 7 i32.shr_s $byte $nibble i32.const 8 i32.and select
      i32.const 0xff i32.and i32.const ${index * 8} i32.shl $out i32.or =out`,
      )
      .join("")}
    $out`,
};

/** Sum of the products of four bytes, and a 32-bit number. */
const dot4 = (left: "s" | "u", right: "s" | "u"): Assembly => {
  const byte = (name: string, index: number, sign: "s" | "u") =>
    `$${name} i32.const ${24 - index * 8} i32.shl i32.const 24 i32.shr_${sign}`;
  const product = (index: number) => `${byte("a", index, left)} ${byte("b", index, right)} i32.mul i32.add`;
  return { params: "a:i32 b:i32 c:i32", result: "i32", body: `$c ${[0, 1, 2, 3].map(product).join(" ")}` };
};

export const integerHelpers: Readonly<Record<string, Assembly>> = {
  ...divide("i32"),
  ...divide("i64"),
  mul_hi_u64: highProduct,
  mul_hi_s64: highProductSigned,
  ...fields("i32"),
  ...fields("i64"),
  brev_i32: reverse32,
  brev_i64: reverse64,
  prmt: permute,
  dp4a_s_s: dot4("s", "s"),
  dp4a_s_u: dot4("s", "u"),
  dp4a_u_s: dot4("u", "s"),
  dp4a_u_u: dot4("u", "u"),
};
