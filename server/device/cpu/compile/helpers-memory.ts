/** Helpers that resolve generic addresses and exchange values within a warp. See wasm/assembly.ts for the notation. */
import { Context, Window } from "../run/layout.ts";
import type { Assembly } from "../wasm/assembly.ts";
import { Fault } from "./fault.ts";

/** An address that is not in the arena: shared, local or parameter window, or a fault. `locals` is where local memory begins. */
const generic: Assembly = {
  params: "address:i64 context:i32 locals:i32 localBytes:i32 bytes:i32 line:i32 globals:i64 globalsBytes:i64",
  result: "i32",
  locals: "window:i64 offset:i32 end:i64",
  body: `
    $address i64.const 32 i64.shr_u =window
    $address i32.wrap_i64 =offset
    $offset i64.extend_i32_u $bytes i64.extend_i32_u i64.add =end
    $offset $bytes i32.const 1 i32.sub i32.and i32.eqz
    if
      $window i64.const ${Window.SHARED} i64.eq
      $end $context i32.const ${Context.SHARED_BYTES} i32.add i64.load32_u i64.le_u i32.and
      if $offset $context i32.add i32.const ${Context.SHARED} i32.add return end
      $window i64.const ${Window.LOCAL} i64.eq
      $end $localBytes i64.extend_i32_u i64.le_u i32.and
      if $offset $locals i32.add return end
      $window i64.const ${Window.PARAM} i64.eq
      $end i64.const ${Context.STATE - Context.PARAMS} i64.le_u i32.and
      if $offset $context i32.add i32.const ${Context.PARAMS} i32.add return end
      $address $globals i64.sub $globalsBytes i64.lt_u
      if $offset return end
    end
    i32.const ${Fault.ADDRESS} $line $address @fault unreachable`,
};

/** Faults unless `offset` from the globals' start is aligned and below `limit`. */
const requireGlobal: Assembly = {
  params: "offset:i64 limit:i64 bytes:i32 line:i32 globals:i64",
  result: "i32",
  body: `
    $offset $limit i64.lt_u $offset i32.wrap_i64 $bytes i32.const 1 i32.sub i32.and i32.eqz i32.and
    if i32.const 0 return end
    i32.const ${Fault.ADDRESS} $line $offset $globals i64.add @fault unreachable`,
};

/**
 * Faults with the first thread's address that is neither within `start` to `start + size` nor within the globals, or not aligned. `size` and `end` are
 * less what each thread accesses behind its address; the offset counts from `start`.
 */
const requireThreads: Assembly = {
  params: "offset:i64 step:i64 count:i32 size:i64 start:i64 globals:i64 end:i64 bytes:i32 line:i32 base:i64",
  result: "i32",
  locals: "at:i64",
  body: `
    loop
      $offset $start i64.add =at
      $offset $size i64.lt_u
      $at $globals i64.ge_u $at $end i64.lt_u i32.and i32.or
      $offset i32.wrap_i64 $bytes i32.const 1 i32.sub i32.and i32.eqz i32.and i32.eqz
      if i32.const ${Fault.ADDRESS} $line $at $base i64.add @fault unreachable end
      $offset $step i64.add =offset
      $count i32.const 1 i32.sub &count br_if 0
    end
    i32.const 0`,
};

/** The first of threads' offsets that is not aligned, or beyond `limit` with what the thread accesses behind it. One of them is. */
const firstOutside: Assembly = {
  params: "offset:i32 step:i32 span:i32 bytes:i32 limit:i32",
  result: "i32",
  body: `
    loop
      $offset $bytes i32.const 1 i32.sub i32.and
      $offset $limit i32.ge_u i32.or
      $offset $span i32.add $limit i32.ge_u i32.or
      if $offset return end
      $offset $step i32.add =offset
      br 0
    end
    unreachable`,
};

/** Bits of the lanes whose word at `plane` is not 0; words are 0 or -1. `plane` is the address of the warp's first word. */
const ballot: Assembly = {
  params: "plane:i32",
  result: "i32",
  locals: "bits:i32",
  body: [0, 1, 2, 3, 4, 5, 6, 7]
    .map(
      (group) =>
        `$plane i32.const ${group * 16} i32.add v128.load i32x4.bitmask i32.const ${group * 4} i32.shl ${group === 0 ? "" : "i32.or"}`,
    )
    .join(" "),
};

/** Lanes among `lanes` whose word at `plane` equals `value`. */
const matchAny32: Assembly = {
  params: "plane:i32 value:i32 lanes:i32",
  result: "i32",
  locals: "rest:i32 lane:i32 found:i32",
  body: `
    $lanes =rest
    loop
      $rest
      if
        $rest i32.ctz =lane
        $plane $lane i32.const 2 i32.shl i32.add i32.load $value i32.eq $lane i32.shl $found i32.or =found
        $rest $rest i32.const 1 i32.sub i32.and =rest
        br 1
      end
    end
    $found`,
};

/** A fold over the words at `plane` of `lanes`; `step` combines `$value` and `$word`. */
const reduce = (start: string, step: string): Assembly => ({
  params: "plane:i32 lanes:i32",
  result: "i32",
  locals: "rest:i32 value:i32 word:i32",
  body: `
    $lanes =rest
    i32.const ${start} =value
    loop
      $rest
      if
        $plane $rest i32.ctz i32.const 2 i32.shl i32.add i32.load =word
        ${step} =value
        $rest $rest i32.const 1 i32.sub i32.and =rest
        br 1
      end
    end
    $value`,
});

const choose = (compare: string): string => `$value $word $value $word ${compare} select`;

export const memoryHelpers: Readonly<Record<string, Assembly>> = {
  generic,
  require_global: requireGlobal,
  require_threads: requireThreads,
  first_outside: firstOutside,
  ballot,
  match_any_32: matchAny32,
  reduce_add: reduce("0", "$value $word i32.add"),
  reduce_and: reduce("-1", "$value $word i32.and"),
  reduce_or: reduce("0", "$value $word i32.or"),
  reduce_xor: reduce("0", "$value $word i32.xor"),
  reduce_min_u32: reduce("-1", choose("i32.lt_u")),
  reduce_max_u32: reduce("0", choose("i32.gt_u")),
  reduce_min_s32: reduce("0x7fffffff", choose("i32.lt_s")),
  reduce_max_s32: reduce("-0x80000000", choose("i32.gt_s")),
};
