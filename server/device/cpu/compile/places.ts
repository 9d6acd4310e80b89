/** Where variables lie: in an entry's parameter block, in a frame, in a block's shared memory. */
import { PARAM_BYTES_MAX } from "../../../../shared/limits.ts";
import { badImage, type Header, type Variable } from "../ptx/program.ts";

export interface Places {
  readonly offsets: ReadonlyMap<Variable, number>;
  readonly byteCount: number;
}

export const align = (offset: number, alignment: number): number => Math.ceil(offset / alignment) * alignment;

/** Variables one behind the other, each at its alignment. */
export function placeInOrder(variables: readonly Variable[]): Places {
  const offsets = new Map<Variable, number>();
  let byteCount = 0;
  for (const variable of variables) {
    byteCount = align(byteCount, variable.alignment);
    offsets.set(variable, byteCount);
    byteCount += variable.byteCount;
  }
  return { offsets, byteCount };
}

/** An entry's parameters in the parameter block. */
export function placeParams({ params }: Pick<Header, "params">): Places {
  const places = placeInOrder(params);
  if (places.byteCount <= PARAM_BYTES_MAX) return places;
  throw badImage(
    params[0]?.line ?? 0,
    `the parameters take [${places.byteCount}] of at most [${PARAM_BYTES_MAX}] bytes`,
  );
}

export function placeFrame(variables: readonly Variable[]): Places {
  const { offsets, byteCount } = placeInOrder(variables);
  return { offsets, byteCount: align(byteCount, 16) };
}

/**
 * Lays out a kernel's shared variables; their size does not depend on the order in which they are given. Dynamic arrays all begin at one address
 * behind them, aligned to at least the 16 that CUDA gives; what that skips counts as the kernel's own, so that a launch's bytes are all there.
 */
export function placeShared(variables: Iterable<Variable>): Places {
  const all = [...new Set(variables)];
  const offsets = new Map<Variable, number>();
  let byteCount = 0;
  const fixed = all.filter(({ isDynamic }) => !isDynamic).sort((one, other) => other.alignment - one.alignment);
  for (const variable of fixed) {
    offsets.set(variable, byteCount);
    byteCount += align(variable.byteCount, variable.alignment);
  }
  const dynamic = all.filter(({ isDynamic }) => isDynamic);
  if (dynamic.length === 0) return { offsets, byteCount };
  byteCount = align(byteCount, Math.max(16, ...dynamic.map(({ alignment }) => alignment)));
  for (const variable of dynamic) offsets.set(variable, byteCount);
  return { offsets, byteCount };
}
