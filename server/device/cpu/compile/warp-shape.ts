/** How the threads of a warp lie in their block: what is known of their positions before a kernel is compiled for it. */
import { WARP_SIZE } from "../run/layout.ts";

/** Lanes along x, and rows of them along y; what is left goes along z. All are powers of two that make a warp together. */
export interface WarpShape {
  readonly x: number;
  readonly y: number;
}

/** Neighbours along x: in blocks that are one row, or have rows of whole warps. */
const ROW: WarpShape = { x: WARP_SIZE, y: 1 };

/** The shape of all warps of a block; undefined where it is not the same for all, or rows end within a warp. */
export function warpShapeOf([width, height, depth]: readonly [number, number, number]): WarpShape | undefined {
  if (width % WARP_SIZE === 0 || height * depth === 1) return ROW;
  const rows = WARP_SIZE / width;
  if (!Number.isInteger(rows)) return undefined;
  if (height % rows === 0 || depth === 1) return shape(width, rows);
  return Number.isInteger(rows / height) ? shape(width, height) : undefined;
}

const shapes = new Map<number, WarpShape>();

/** The one object for a shape. */
function shape(x: number, y: number): WarpShape {
  const key = x * WARP_SIZE + y;
  let known = shapes.get(key);
  if (known === undefined) {
    known = { x, y };
    shapes.set(key, known);
  }
  return known;
}
