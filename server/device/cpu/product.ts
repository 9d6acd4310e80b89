/** Matrix products of a slice: which kernel computes one, and the launch that does it. */
import { SluiceError } from "../../../shared/errors.ts";
import { type LaunchOptions, type MatrixProduct, productBytes } from "../device.ts";
import type { LoadedKernel } from "./kernel-table.ts";
import { type ProductParam, productKernel, productParams, TILE } from "./product-kernel.ts";
import { probeFeatures } from "./run/features.ts";
import type { MemoryLayout } from "./run/layout.ts";

/** Words of alpha and beta, by both of their types. */
const factors = ["alpha", "beta", "alphaLow", "alphaHigh", "betaLow", "betaHigh"] as const;
type Factor = (typeof factors)[number];
const isFactor = (name: ProductParam): name is Factor => (factors as readonly string[]).includes(name);

/** What a launch of a product needs; `offset` gives the place of a checked range in linear memory. */
type OffsetOf = (address: number, byteCount: number) => number;

export function requireWide({ narrow }: MatrixProduct): void {
  if (narrow === undefined) return;
  throw new SluiceError("UNSUPPORTED", "A cpu device has no matrix products of floats of 8 bits.");
}

export class Products {
  readonly #layout: MemoryLayout;
  readonly #kernels = new Map<MatrixProduct["type"], LoadedKernel>();

  constructor(layout: MemoryLayout) {
    this.#layout = layout;
  }

  /** The kernel for a type; made once. */
  kernel(type: MatrixProduct["type"]): LoadedKernel {
    const known = this.#kernels.get(type);
    if (known !== undefined) return known;
    const compiled = productKernel(type, { layout: this.#layout, features: probeFeatures() });
    const kernel = { compiled, id: undefined };
    this.#kernels.set(type, kernel);
    return kernel;
  }

  /** One block per tile of each result. */
  launch(product: MatrixProduct, offsetOf: OffsetOf): Pick<LaunchOptions, "grid" | "block" | "sharedBytes" | "params"> {
    const { type, m, n, k, batchCount, a, b, c, bias, activation } = product;
    const { factors: bytes, result: resultBytes } = productBytes[type];
    const place = (operand: MatrixProduct["c"], [rows, columns]: readonly [number, number]): number => {
      const last = (batchCount - 1) * operand.batchStride + (rows - 1) * operand.rowStride + columns;
      return offsetOf(operand.address, last * (operand === c ? resultBytes : bytes));
    };
    const tilesN = Math.ceil(n / TILE);
    const tiles = Math.ceil(m / TILE) * tilesN;
    // Strides are multiplied by counts whose products lie inside the slice, or by 0: they fit 32 bits where it matters.
    const words: Record<Exclude<ProductParam, Factor>, number> = {
      a: place(a, a.transposed ? [k, m] : [m, k]),
      b: place(b, b.transposed ? [n, k] : [k, n]),
      c: place(c, [m, n]),
      ...{ m, n, k, tilesN, tiles },
      rowA: (a.transposed ? 1 : a.rowStride) * bytes,
      columnA: (a.transposed ? a.rowStride : 1) * bytes,
      rowB: (b.transposed ? 1 : b.rowStride) * bytes,
      columnB: (b.transposed ? b.rowStride : 1) * bytes,
      rowC: c.rowStride * resultBytes,
      strideA: a.batchStride * bytes,
      strideB: b.batchStride * bytes,
      strideC: c.batchStride * resultBytes,
      bias: bias === undefined ? 0 : offsetOf(bias, n * resultBytes),
      hasBias: bias === undefined ? 0 : 1,
      activation: activation === undefined ? 0 : activation === "relu" ? 1 : 2,
    };
    const view = new DataView(new ArrayBuffer(productParams.length * 4));
    productParams.forEach((name, position) => {
      if (!isFactor(name)) view.setUint32(position * 4, words[name], true);
      else if (name === "alpha" || name === "beta") {
        if (type === "i8-i32") view.setInt32(position * 4, product[name], true);
        else view.setFloat32(position * 4, product[name], true);
      } else if (name === "alphaLow") view.setFloat64(position * 4, product.alpha, true);
      else if (name === "betaLow") view.setFloat64(position * 4, product.beta, true);
    });
    return {
      grid: [tiles * batchCount, 1, 1],
      block: [1, 1, 1],
      sharedBytes: 0,
      params: new Uint8Array(view.buffer),
    };
  }
}
