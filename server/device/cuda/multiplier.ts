/**
 * Matrix products by cuBLASLt, where the server has it: a library that programs need and no job wants to ship. Its matrices stand column by column,
 * ours row by row; a matrix read the other way is its transpose, so C is had as its transpose from B and A in that order.
 * `SLUICE_CUBLASLT_LIBRARY` names the library file, where it is not to be searched (toolkit.ts). The reference is NVIDIA's cuBLAS documentation, chapter cuBLASLt.
 */
import { SluiceError } from "../../../shared/errors.ts";
import type { MatrixOperand, MatrixProduct } from "../device.ts";
import { EVENT_DISABLE_TIMING } from "./constants.ts";
import type { CudaContext } from "./context.ts";
import type { Allowance } from "./overhead.ts";
import type { CudaStream } from "./stream.ts";
import { type Bound, bind } from "./symbols.ts";
import { libraryNames, openToolkitLibrary } from "./toolkit.ts";

/** Every function of cuBLASLt that is used, with the kinds of its arguments. */
export const cublasLtSignatures = {
  cublasLtCreate: ["memory"],
  cublasLtDestroy: ["u64"],
  cublasLtMatmulDescCreate: ["memory", "i32", "i32"],
  cublasLtMatmulDescDestroy: ["u64"],
  cublasLtMatmulDescSetAttribute: ["u64", "i32", "memory", "u64"],
  cublasLtMatrixLayoutCreate: ["memory", "i32", "u64", "u64", "u64"],
  cublasLtMatrixLayoutDestroy: ["u64"],
  cublasLtMatrixLayoutSetAttribute: ["u64", "i32", "memory", "u64"],
  cublasLtMatmulPreferenceCreate: ["memory"],
  cublasLtMatmulPreferenceDestroy: ["u64"],
  cublasLtMatmulPreferenceSetAttribute: ["u64", "i32", "memory", "u64"],
  cublasLtMatmulAlgoGetHeuristic: ["u64", "u64", "u64", "u64", "u64", "u64", "u64", "i32", "memory", "memory"],
  cublasLtMatmul: [
    ...(["u64", "u64", "memory", "u64", "u64", "u64", "u64", "memory"] as const),
    ...(["u64", "u64", "u64", "u64", "memory", "u64", "u64", "u64"] as const),
  ],
} as const;
type BlasApi = Bound<typeof cublasLtSignatures>;

export const Status = { SUCCESS: 0, ALLOC_FAILED: 3, INVALID_VALUE: 7, ARCH_MISMATCH: 8, NOT_SUPPORTED: 15 } as const;
export const DescAttribute = {
  TRANSA: 3,
  TRANSB: 4,
  EPILOGUE: 7,
  BIAS_POINTER: 8,
  A_SCALE_POINTER: 17,
  B_SCALE_POINTER: 18,
} as const;
/** cublasLtEpilogue_t. */
const Epilogue = { DEFAULT: 1, RELU: 2, BIAS: 4, GELU: 32 } as const;
const epilogues = { relu: Epilogue.RELU, gelu: Epilogue.GELU } as const;
export const LayoutAttribute = { BATCH_COUNT: 5, STRIDED_BATCH_OFFSET: 6 } as const;
export const PreferenceAttribute = { MAX_WORKSPACE_BYTES: 1, MIN_ALIGNMENT_A: 5 } as const;
/** cudaDataType of the factors, of the result and of alpha and beta, and cublasComputeType_t of the sums. */
export const productTypes = {
  f32: { data: 0, result: 0, scale: 0, compute: 68 },
  tf32: { data: 0, result: 0, scale: 0, compute: 77 },
  f16: { data: 2, result: 2, scale: 0, compute: 68 },
  bf16: { data: 14, result: 14, scale: 0, compute: 68 },
  f64: { data: 1, result: 1, scale: 1, compute: 70 },
  "f16-f32": { data: 2, result: 0, scale: 0, compute: 68 },
  "bf16-f32": { data: 14, result: 0, scale: 0, compute: 68 },
  "i8-i32": { data: 3, result: 10, scale: 10, compute: 72 },
} as const;

const narrowTypes = { e4m3: 28, e5m2: 29 } as const;

const MiB = 1024 * 1024;
/**
 * What NVIDIA recommends for its newest cards. Lies outside the arena, and is part of what every lease is charged for. Where a program's own code has
 * taken most of that, as that of large libraries does, products get what is left, in whole MiB, or do without: then some are slower.
 */
export const WORKSPACE_BYTES_MAX = 32 * MiB;
/** The library assumes this alignment unless it is told otherwise. */
const ALIGNMENT_BYTES = 256;
/** Shapes remembered with the algorithm found for each: programs use few, and finding one takes longer than many products. */
const PLANS_MAX = 256;
/** cublasLtMatmulHeuristicResult_t; it begins with the algorithm. */
export const RESULT_BYTES = 96;
/** Offset of its status: a way that is told with another than success is none. */
export const RESULT_STATE_AT = 72;

interface Plan {
  readonly operation: number;
  /** Layouts of B, A and C, in the library's order. */
  readonly layouts: readonly number[];
  readonly algorithm: Uint8Array;
}

function load(driverVersion: number): BlasApi {
  const named = process.env["SLUICE_CUBLASLT_LIBRARY"];
  const library = openToolkitLibrary("cublasLt", { named, driverVersion });
  if (library === undefined) {
    const names = named || libraryNames("cublasLt", driverVersion);
    throw new SluiceError("UNSUPPORTED", `This server has no cuBLASLt [${names}] to compute matrix products with.`);
  }
  const { handle, path } = library;
  return bind(handle, cublasLtSignatures, { lacking: (symbol) => `The cuBLASLt library [${path}] lacks [${symbol}].` });
}

/** The largest power of two, up to what the library looks at, that divides the address. */
const alignmentOf = (address: number): number => {
  let alignment = ALIGNMENT_BYTES;
  while (alignment > 1 && address % alignment !== 0) alignment /= 2;
  return alignment;
};

/** What the way to compute a product follows from. */
function keyOf({ type, m, n, k, batchCount, a, b, c, bias, activation, narrow }: MatrixProduct): string {
  const shape = ({ address, rowStride, batchStride }: MatrixOperand): number[] => [
    rowStride,
    batchStride,
    alignmentOf(address),
  ];
  const beside = [bias, narrow?.scaleA, narrow?.scaleB].map((at) => (at === undefined ? 0 : alignmentOf(at)));
  const end = [activation, narrow?.a, narrow?.b, beside];
  return [type, m, n, k, batchCount, a.transposed, b.transposed, shape(a), shape(b), shape(c), end].join();
}

interface MultiplierOptions {
  readonly driverVersion: number;
  /** What the workspace is taken from. */
  readonly outside: Allowance;
  /** Does what may take the library long without being a hang. */
  readonly longWork: <T>(work: () => T) => T;
}

export class Multiplier {
  readonly #context: CudaContext;
  readonly #blas: BlasApi;
  readonly #handle: number;
  readonly #longWork: <T>(work: () => T) => T;
  /** 0 for none. */
  #workspace = 0;
  readonly #workspaceBytes: number;
  /** Event by which one stream hands the workspace to another; 0 for none. */
  #handover = 0;
  readonly #plans = new Map<string, Plan>();
  /** alpha and beta, by their type in the library. */
  readonly #factors = {
    0: [new Float32Array(1), new Float32Array(1)],
    1: [new Float64Array(1), new Float64Array(1)],
    10: [new Int32Array(1), new Int32Array(1)],
  } as const;
  /** The stream that used the workspace last. */
  #last: CudaStream | undefined;

  /** @throws SluiceError UNSUPPORTED where the server has no cuBLASLt, OUT_OF_MEMORY where the device has no memory for it. */
  constructor(context: CudaContext, { driverVersion, outside, longWork }: MultiplierOptions) {
    this.#context = context;
    this.#longWork = longWork;
    this.#blas = load(driverVersion);
    this.#workspaceBytes = Math.min(WORKSPACE_BYTES_MAX, Math.floor(outside.leftBytes / MiB) * MiB);
    context.enter();
    const value = new BigUint64Array(1);
    this.#check(this.#blas.cublasLtCreate(value), "start");
    this.#handle = Number(value[0]);
    try {
      context.check(context.api.cuEventCreate(value, EVENT_DISABLE_TIMING), "create an event");
      this.#handover = Number(value[0]);
      if (this.#workspaceBytes > 0) {
        const made = context.api.cuMemAlloc_v2(value, this.#workspaceBytes);
        context.check(made, "allocate the workspace of matrix products");
        this.#workspace = Number(value[0]);
        outside.take(this.#workspaceBytes);
      }
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Finds a way for the product, whose addresses are only as aligned as those to come. The caller has entered the context. */
  prepare(product: MatrixProduct): void {
    const key = keyOf(product);
    if (!this.#plans.has(key)) this.#longWork(() => this.#addPlan(key, product));
  }

  /** Queues the product in the stream. The caller has entered the context. */
  multiply(product: MatrixProduct, stream: CudaStream): void {
    const key = keyOf(product);
    const known = this.#plans.get(key);
    if (known !== undefined) this.#queue(known, product, stream);
    // The first product of a shape loads kernels of the library.
    else this.#longWork(() => this.#queue(this.#addPlan(key, product), product, stream));
  }

  #queue(plan: Plan, product: MatrixProduct, stream: CudaStream): void {
    const { a, b, c } = product;
    this.#takeWorkspace(stream);
    const [alpha, beta] = this.#factors[productTypes[product.type].scale];
    alpha[0] = product.alpha;
    beta[0] = product.beta;
    this.#setPointers(plan.operation, product);
    const [first, second, result] = plan.layouts as [number, number, number];
    const { cublasLtMatmul } = this.#blas;
    const status = cublasLtMatmul(
      ...([this.#handle, plan.operation, alpha, b.address, first, a.address, second, beta] as const),
      ...([c.address, result, c.address, result, plan.algorithm] as const),
      ...([this.#workspace, this.#workspaceBytes, stream.handle] as const),
    );
    this.#check(status, "compute");
  }

  /** Drops what it knows of a stream that ends; all its work must be done. */
  forget(stream: CudaStream): void {
    if (this.#last === stream) this.#last = undefined;
  }

  /** Gives everything back. Nothing may be under way. */
  close(): void {
    for (const plan of this.#plans.values()) this.#drop(plan);
    this.#plans.clear();
    this.#blas.cublasLtDestroy(this.#handle);
    if (this.#handover !== 0) this.#context.api.cuEventDestroy_v2(this.#handover);
    if (this.#workspace !== 0) this.#context.api.cuMemFree_v2(this.#workspace);
  }

  /** The workspace serves one product at a time: another stream waits for what used it before. */
  #takeWorkspace(stream: CudaStream): void {
    if (this.#workspace === 0) return;
    if (this.#last !== undefined && this.#last !== stream) {
      const { api } = this.#context;
      this.#context.check(api.cuEventRecord(this.#handover, this.#last.handle), "record an event");
      this.#context.check(api.cuStreamWaitEvent(stream.handle, this.#handover, 0), "make a stream wait");
    }
    this.#last = stream;
  }

  #addPlan(key: string, product: MatrixProduct): Plan {
    const [oldest] = this.#plans.keys();
    if (this.#plans.size >= PLANS_MAX && oldest !== undefined) {
      this.#drop(this.#plans.get(oldest)!);
      this.#plans.delete(oldest);
    }
    const plan = this.#makePlan(product);
    this.#plans.set(key, plan);
    return plan;
  }

  #makePlan(product: MatrixProduct): Plan {
    const { type, m, n, k, a, b, c, bias, activation, narrow } = product;
    const value = new BigUint64Array(1);
    const { compute, scale } = productTypes[type];
    this.#check(this.#blas.cublasLtMatmulDescCreate(value, compute, scale), "describe");
    const operation = Number(value[0]);
    const layouts: number[] = [];
    try {
      this.#describe(operation, DescAttribute.TRANSA, b.transposed ? 1 : 0);
      this.#describe(operation, DescAttribute.TRANSB, a.transposed ? 1 : 0);
      const epilogue =
        (activation === undefined ? 0 : epilogues[activation]) | (bias === undefined ? 0 : Epilogue.BIAS);
      if (epilogue !== 0) this.#describe(operation, DescAttribute.EPILOGUE, epilogue);
      // Which ways there are depends on their alignment.
      this.#setPointers(operation, product);
      const { data, result } = productTypes[type];
      const kinds =
        narrow === undefined ? { a: data, b: data } : { a: narrowTypes[narrow.a], b: narrowTypes[narrow.b] };
      this.#addLayout(layouts, product, { operand: b, shape: b.transposed ? [n, k] : [k, n], kind: kinds.b });
      this.#addLayout(layouts, product, { operand: a, shape: a.transposed ? [k, m] : [m, k], kind: kinds.a });
      this.#addLayout(layouts, product, { operand: c, shape: [m, n], kind: result });
      return { operation, layouts, algorithm: this.#findAlgorithm(operation, layouts, product) };
    } catch (error) {
      this.#drop({ operation, layouts });
      throw error;
    }
  }

  /** Where numbers beside the matrices are. Their rows are our columns: a bias is added to each of them. Their A is our B. */
  #setPointers(operation: number, { bias, narrow }: MatrixProduct): void {
    const { BIAS_POINTER, A_SCALE_POINTER, B_SCALE_POINTER } = DescAttribute;
    for (const [attribute, address] of [
      [BIAS_POINTER, bias],
      [A_SCALE_POINTER, narrow?.scaleB],
      [B_SCALE_POINTER, narrow?.scaleA],
    ] as const) {
      if (address === undefined) continue;
      const pointer = BigUint64Array.of(BigInt(address));
      this.#check(this.#blas.cublasLtMatmulDescSetAttribute(operation, attribute, pointer, 8), "describe");
    }
  }

  #describe(operation: number, attribute: number, value: number): void {
    const word = Int32Array.of(value);
    this.#check(this.#blas.cublasLtMatmulDescSetAttribute(operation, attribute, word, word.byteLength), "describe");
  }

  /** Appends the layout of an operand whose shape is its rows and columns in memory. */
  #addLayout(
    layouts: number[],
    { batchCount }: MatrixProduct,
    { operand, shape, kind }: { operand: MatrixOperand; shape: readonly [number, number]; kind: number },
  ): void {
    const blas = this.#blas;
    const value = new BigUint64Array(1);
    const [rows, columns] = shape;
    // Their rows run along our columns.
    const made = blas.cublasLtMatrixLayoutCreate(value, kind, columns, rows, operand.rowStride);
    this.#check(made, "describe");
    const layout = Number(value[0]);
    layouts.push(layout);
    const { BATCH_COUNT, STRIDED_BATCH_OFFSET } = LayoutAttribute;
    const count = Int32Array.of(batchCount);
    const stride = BigInt64Array.of(BigInt(operand.batchStride));
    this.#check(blas.cublasLtMatrixLayoutSetAttribute(layout, BATCH_COUNT, count, 4), "describe");
    this.#check(blas.cublasLtMatrixLayoutSetAttribute(layout, STRIDED_BATCH_OFFSET, stride, 8), "describe");
  }

  #findAlgorithm(operation: number, layouts: Plan["layouts"], { a, b, c }: MatrixProduct): Uint8Array {
    const blas = this.#blas;
    const value = new BigUint64Array(1);
    this.#check(blas.cublasLtMatmulPreferenceCreate(value), "describe");
    const preference = Number(value[0]);
    try {
      const workspace = BigUint64Array.of(BigInt(this.#workspaceBytes));
      const bytes = PreferenceAttribute.MAX_WORKSPACE_BYTES;
      this.#check(blas.cublasLtMatmulPreferenceSetAttribute(preference, bytes, workspace, 8), "describe");
      [b, a, c, c].forEach(({ address }, index) => {
        const alignment = Uint32Array.of(alignmentOf(address));
        const attribute = PreferenceAttribute.MIN_ALIGNMENT_A + index;
        this.#check(blas.cublasLtMatmulPreferenceSetAttribute(preference, attribute, alignment, 4), "describe");
      });
      const results = new Uint8Array(RESULT_BYTES);
      const found = new Int32Array(1);
      const [first, second, result] = layouts as [number, number, number];
      const operands = [first, second, result, result] as const;
      this.#check(
        blas.cublasLtMatmulAlgoGetHeuristic(this.#handle, operation, ...operands, preference, 1, results, found),
        "find a way for",
      );
      if (found[0] === 0) this.#check(Status.NOT_SUPPORTED, "find a way for");
      this.#check(new DataView(results.buffer).getInt32(RESULT_STATE_AT, true), "find a way for");
      return results;
    } finally {
      blas.cublasLtMatmulPreferenceDestroy(preference);
    }
  }

  #drop({ operation, layouts }: Pick<Plan, "operation" | "layouts">): void {
    for (const layout of layouts) this.#blas.cublasLtMatrixLayoutDestroy(layout);
    this.#blas.cublasLtMatmulDescDestroy(operation);
  }

  #check(status: number, doing: string): void {
    if (status === Status.SUCCESS) return;
    const message = `cuBLASLt fails to ${doing} the matrix product [status ${status}].`;
    // Of what was not computed yet, it does not know the wish.
    const isStrange = doing !== "compute" && (status === Status.INVALID_VALUE || status === Status.ARCH_MISMATCH);
    const code =
      status === Status.NOT_SUPPORTED || isStrange
        ? "UNSUPPORTED"
        : status === Status.ALLOC_FAILED
          ? "OUT_OF_MEMORY"
          : "DEVICE_FAILED";
    // The library says of a context in which a kernel has failed only that it cannot work there; the driver says why.
    if (code === "DEVICE_FAILED") this.#context.ready(this.#context.api.cuStreamQuery(0), "compute a matrix product");
    // The status is no error of the driver, which programs take a native code for.
    throw new SluiceError(code, message);
  }
}
