/**
 * The kernel behind matrix products on the cpu device, written straight in WebAssembly: one block computes one tile of C. It brings pieces of A
 * and B into shared memory as f32, in the order in which they are used, and multiplies them four rows by eight columns at a time. It has the
 * shape of a compiled kernel, so that workers, time-outs and faults are those of every launch. Rounding: f32 sums, results to nearest even. i8 is
 * brought and summed as i32 in place of f32; f64 is summed element by element, straight from memory.
 */
import { type MatrixProduct, productBytes } from "../device.ts";
import type { CompiledKernel } from "./compile/kernel.ts";
import type { Features } from "./compile/unit.ts";
import { Context, EXITED, type MemoryLayout } from "./run/layout.ts";
import { Code, type WasmType } from "./wasm/code.ts";
import { ModuleWriter } from "./wasm/module.ts";

/** Rows and columns of a tile of C, and how many products of each element are summed before the next piece is fetched. */
export const TILE = 64;
const DEPTH = 128;
/** A tile is computed in pieces that fit the registers: rows, and columns in two vectors of four. */
const ROWS = 4;
const COLUMNS = 8;

/**
 * The parameter block: words of 32 bits in this order. Strides are bytes; `tilesN` is the number of tiles in a row of C. Of f64, alpha and beta are
 * the two words of each, low first; of i8 they are i32.
 */
export const productParams = [
  ...["a", "b", "c", "m", "n", "k", "rowA", "columnA", "rowB", "columnB", "rowC"],
  ...["strideA", "strideB", "strideC", "alpha", "beta", "tilesN", "tiles"],
  ...["alphaLow", "alphaHigh", "betaLow", "betaHigh", "bias", "hasBias", "activation"],
] as const;
export type ProductParam = (typeof productParams)[number];

/** Where the pieces lie in shared memory. */
const PIECE_A = 0;
const PIECE_B = PIECE_A + TILE * DEPTH * 4;
const SUMS = PIECE_B + TILE * DEPTH * 4;
const SHARED_BYTES = SUMS + TILE * TILE * 4;

/** How an element stands in memory; only factors are rounded to tf32. */
type Element = "f32" | "tf32" | "f16" | "bf16" | "f64" | "i8" | "i32";

const elements: Readonly<Record<MatrixProduct["type"], { readonly factors: Element; readonly result: Element }>> = {
  f32: { factors: "f32", result: "f32" },
  tf32: { factors: "tf32", result: "f32" },
  f16: { factors: "f16", result: "f16" },
  bf16: { factors: "bf16", result: "bf16" },
  f64: { factors: "f64", result: "f64" },
  "f16-f32": { factors: "f16", result: "f32" },
  "bf16-f32": { factors: "bf16", result: "f32" },
  "i8-i32": { factors: "i8", result: "i32" },
};

export function productKernel(
  type: MatrixProduct["type"],
  { layout, features }: { readonly layout: MemoryLayout; readonly features: Features },
): CompiledKernel {
  const writer = new ModuleWriter(layout.memoryPages);
  const tanh = writer.import("tanh", { params: ["f64"], results: ["f64"] });
  const kernel = new ProductWriter(type, { features, tanh });
  const index = writer.declare({ params: kernel.code.params, results: kernel.code.results });
  writer.define(index, kernel.write());
  writer.export("r0", index);
  return {
    name: `matrix product of ${type}`,
    bytes: writer.finish(),
    suspensions: [{ kind: "entry" }],
    sharedBytes: SHARED_BYTES,
    localBytes: 0,
    threadBytes: 0,
    paramBytes: productParams.length * 4,
    usesHeap: false,
    threadsMax: 1,
    isUniform: false,
    hangsOnShape: false,
    threadsRequired: undefined,
  };
}

class ProductWriter {
  readonly #type: MatrixProduct["type"];
  readonly #features: Features;
  /** The host's function. */
  readonly #tanh: number;
  /** (context, first thread, end of threads) -> EXITED. */
  readonly code = new Code(["i32", "i32", "i32"], ["i32"]);
  readonly #locals = new Map<string, number>();

  constructor(type: MatrixProduct["type"], { features, tanh }: { readonly features: Features; readonly tanh: number }) {
    this.#type = type;
    this.#features = features;
    this.#tanh = tanh;
  }

  get #resultBytes(): number {
    return productBytes[this.#type].result;
  }

  /** What a tile is summed in. */
  get #sum(): "f32" | "i32" {
    return this.#type === "i8-i32" ? "i32" : "f32";
  }

  write(): Code {
    const { code } = this;
    this.#param("tiles").#set("rest");
    code.get(0).access("i32.load", Context.BLOCK_INDEX).tee(this.#local("tile"));
    this.#get("rest");
    code.op("i32.div_u").set(this.#local("matrix"));
    this.#get("tile").#get("rest");
    code.op("i32.rem_u").set(this.#local("tile"));
    this.#placeTile("i0", { count: "m", left: "rows", quotient: "i32.div_u" });
    this.#placeTile("j0", { count: "n", left: "columns", quotient: "i32.rem_u" });
    this.#address("atA", { base: "a", batch: "strideA", step: ["i0", "rowA"] });
    this.#address("atB", { base: "b", batch: "strideB", step: ["j0", "columnB"] });
    this.#address("atC", { base: "c", batch: "strideC", step: ["i0", "rowC"] });
    this.#get("atC").#get("j0");
    code.i32(this.#resultBytes).op("i32.mul").op("i32.add").set(this.#local("atC"));
    if (this.#type === "f64") this.#computeF64();
    else this.#computeTile();
    code.i32(EXITED);
    return code;
  }

  /** Sums the tile's products piece by piece, and stores it. */
  #computeTile(): void {
    const { code } = this;
    code
      .get(0)
      .i32(Context.SHARED + SUMS)
      .op("i32.add")
      .i32(0)
      .i32(TILE * TILE * 4)
      .bulk("memory.fill");
    this.#param("k").#set("left");
    this.#loopWhile("left", () => {
      this.#get("left");
      code.i32(DEPTH);
      this.#get("left");
      code.i32(DEPTH).op("i32.lt_u").op("select");
      code.set(this.#local("depth"));
      this.#pack("A");
      this.#pack("B");
      this.#multiplyPieces();
      this.#advance("atA", "columnA");
      this.#advance("atB", "rowB");
      this.#get("left").#get("depth");
      code.op("i32.sub").set(this.#local("left"));
    });
    this.#storeTile();
  }

  /** Element by element: a sum over k straight from memory, and what becomes of it. */
  #computeF64(): void {
    const { code } = this;
    const value = this.#local("value", "f64");
    this.#param("k").#set("depth");
    code.i32(0).set(this.#local("i"));
    this.#loopBelow("i", "rows", 1, () => {
      code.i32(0).set(this.#local("j"));
      this.#get("atC").#get("i").#param("rowC");
      code.op("i32.mul").op("i32.add").set(this.#local("to"));
      this.#loopBelow("j", "columns", 1, () => {
        this.#sumF64(value);
        code.get(value);
        this.#factor("alphaLow");
        code.op("f64.mul").set(value);
        this.#factor("betaLow");
        code.f64(0).op("f64.ne").if();
        code.get(value);
        this.#get("to");
        code.access("f64.load");
        this.#factor("betaLow");
        code.op("f64.mul").op("f64.add").set(value);
        code.end();
        this.#finish(value);
        this.#get("to");
        code.get(value).access("f64.store");
        this.#get("to");
        code.i32(8).op("i32.add").set(this.#local("to"));
      });
    });
  }

  /** The sum of one element of C, of row i and column j of the tile. */
  #sumF64(value: number): void {
    const { code } = this;
    code.f64(0).set(value);
    this.#param("columnA").#set("stepA");
    this.#param("rowB").#set("stepB");
    this.#get("atA").#get("i").#param("rowA");
    code.op("i32.mul").op("i32.add").set(this.#local("pieceA"));
    this.#get("atB").#get("j").#param("columnB");
    code.op("i32.mul").op("i32.add").set(this.#local("pieceB"));
    code.i32(0).set(this.#local("p"));
    this.#loopBelow("p", "depth", 1, () => {
      code.get(value);
      this.#get("pieceA");
      code.access("f64.load");
      this.#get("pieceB");
      code.access("f64.load").op("f64.mul").op("f64.add").set(value);
      this.#add("pieceA", "stepA");
      this.#add("pieceB", "stepB");
    });
  }

  /** Adds the bias of column j of the tile, and applies the activation. Integers have neither. */
  #finish(value: number): void {
    const { code } = this;
    if (this.#type === "i8-i32") return;
    const wide = this.#type === "f64";
    this.#param("hasBias");
    code.if();
    code.get(value);
    this.#param("bias").#get("j0").#get("j");
    code.op("i32.add").i32(this.#resultBytes).op("i32.mul").op("i32.add");
    if (wide) code.access("f64.load").op("f64.add").set(value);
    else {
      this.#load(elements[this.#type].result);
      code.op("f32.add").set(value);
    }
    code.end();
    this.#param("activation");
    code.i32(1).op("i32.eq").if();
    code.get(value);
    if (wide) code.f64(0).op("f64.max").set(value);
    else code.f32(0).op("f32.max").set(value);
    code.end();
    this.#param("activation");
    code.i32(2).op("i32.eq").if();
    this.#applyGelu(value, wide);
    code.end();
  }

  /** x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), in f64. */
  #applyGelu(value: number, wide: boolean): void {
    const { code } = this;
    const x = this.#local("x", "f64");
    code.get(value);
    if (!wide) code.op("f64.promote_f32");
    code.tee(x).f64(0.5).op("f64.mul");
    code.get(x).get(x).op("f64.mul").f64(0.044715).op("f64.mul").f64(1).op("f64.add").get(x).op("f64.mul");
    code
      .f64(Math.sqrt(2 / Math.PI))
      .op("f64.mul")
      .call(this.#tanh)
      .f64(1)
      .op("f64.add")
      .op("f64.mul");
    if (!wide) code.op("f32.demote_f64");
    code.set(value);
  }

  /** First row (or column) of the tile, and how many of them C has from there on, at most a tile's. */
  #placeTile(
    name: string,
    { count, left, quotient }: { count: ProductParam; left: string; quotient: "i32.div_u" | "i32.rem_u" },
  ): void {
    const { code } = this;
    this.#get("tile").#param("tilesN");
    code.op(quotient).i32(TILE).op("i32.mul").set(this.#local(name));
    this.#param(count).#get(name);
    code.op("i32.sub").tee(this.#local(left)).i32(TILE);
    this.#get(left);
    code.i32(TILE).op("i32.lt_u").op("select").set(this.#local(left));
  }

  #address(
    name: string,
    { base, batch, step }: { base: ProductParam; batch: ProductParam; step: readonly [string, ProductParam] },
  ): void {
    const { code } = this;
    this.#param(base).#get("matrix").#param(batch);
    code.op("i32.mul").op("i32.add");
    this.#get(step[0]).#param(step[1]);
    code.op("i32.mul").op("i32.add").set(this.#local(name));
  }

  /** Moves on by the piece that is done. */
  #advance(name: string, stride: ProductParam): void {
    this.#get(name).#get("depth").#param(stride);
    this.code.op("i32.mul").op("i32.add").set(this.#local(name));
  }

  /** Brings a piece of an operand into shared memory: strips of 4 rows of A, or 8 columns of B, side by side for each step of k. */
  #pack(operand: "A" | "B"): void {
    const { code } = this;
    const [width, lines] = operand === "A" ? [ROWS, "rows"] : [COLUMNS, "columns"];
    const line: ProductParam = operand === "A" ? "rowA" : "columnB";
    const step: ProductParam = operand === "A" ? "columnA" : "rowB";
    this.#param(line).#set("line");
    this.#param(step).#set("step");
    code.i32(0).set(this.#local("i"));
    this.#loopBelow("i", lines, 1, () => {
      this.#get(`at${operand}`).#get("i").#get("line");
      code.op("i32.mul").op("i32.add").set(this.#local("from"));
      // context + strip * DEPTH * width * 4 + (i within the strip) * 4
      code.get(0);
      this.#get("i");
      code
        .i32(width)
        .op("i32.div_u")
        .i32(DEPTH * width * 4)
        .op("i32.mul")
        .op("i32.add");
      this.#get("i");
      code.i32(width).op("i32.rem_u").i32(4).op("i32.mul").op("i32.add").set(this.#local("to"));
      code.i32(0).set(this.#local("p"));
      this.#loopBelow("p", "depth", 1, () => {
        this.#get("to").#get("from");
        this.#load(elements[this.#type].factors);
        code.access(`${this.#sum}.store`, Context.SHARED + (operand === "A" ? PIECE_A : PIECE_B));
        this.#add("from", "step");
        this.#get("to");
        code
          .i32(width * 4)
          .op("i32.add")
          .set(this.#local("to"));
      });
    });
  }

  /** Adds the products of the two pieces to the tile's sums. What stands behind the last row or column is computed and never stored. */
  #multiplyPieces(): void {
    const { code } = this;
    const sums = Array.from({ length: ROWS * 2 }, (_, index) => this.#local(`sum${index}`, "v128"));
    code.i32(0).set(this.#local("i"));
    this.#loopBelow("i", "rows", ROWS, () => {
      code.i32(0).set(this.#local("j"));
      this.#loopBelow("j", "columns", COLUMNS, () => {
        // The sums of four rows and eight columns stand together.
        code.get(0);
        this.#get("i");
        code
          .i32(TILE * 4)
          .op("i32.mul")
          .op("i32.add");
        this.#get("j");
        code
          .i32(ROWS * 4)
          .op("i32.mul")
          .op("i32.add")
          .set(this.#local("to"));
        sums.forEach((sum, index) => {
          this.#get("to");
          code.access("v128.load", Context.SHARED + SUMS + index * 16).set(sum);
        });
        for (const [name, count] of [
          ["pieceA", "i"],
          ["pieceB", "j"],
        ] as const) {
          code.get(0);
          this.#get(count);
          code
            .i32(DEPTH * 4)
            .op("i32.mul")
            .op("i32.add")
            .set(this.#local(name));
        }
        this.#get("depth").#set("p");
        this.#loopWhile("p", () => {
          this.#multiplyStep(sums);
          this.#get("p");
          code.i32(1).op("i32.sub").set(this.#local("p"));
        });
        sums.forEach((sum, index) => {
          this.#get("to");
          code.get(sum).access("v128.store", Context.SHARED + SUMS + index * 16);
        });
      });
    });
  }

  /** One step of k: four elements of A with eight of B. */
  #multiplyStep(sums: readonly number[]): void {
    const { code } = this;
    const [left, right, factor] = (["b0", "b1", "factor"] as const).map((name) => this.#local(name, "v128")) as [
      number,
      number,
      number,
    ];
    this.#get("pieceB");
    code.access("v128.load", Context.SHARED + PIECE_B).set(left);
    this.#get("pieceB");
    code.access("v128.load", Context.SHARED + PIECE_B + 16).set(right);
    for (let row = 0; row < ROWS; row++) {
      this.#get("pieceA");
      code.access("v128.load32_splat", Context.SHARED + PIECE_A + row * 4).set(factor);
      [left, right].forEach((columns, half) => {
        const sum = sums[row * 2 + half]!;
        if (this.#sum === "i32") code.get(sum).get(factor).get(columns).op("i32x4.mul").op("i32x4.add").set(sum);
        else if (this.#features.fusedMultiplyAdd)
          code.get(factor).get(columns).get(sum).op("f32x4.relaxed_madd").set(sum);
        else code.get(sum).get(factor).get(columns).op("f32x4.mul").op("f32x4.add").set(sum);
      });
    }
    this.#get("pieceA");
    code
      .i32(ROWS * 4)
      .op("i32.add")
      .set(this.#local("pieceA"));
    this.#get("pieceB");
    code
      .i32(COLUMNS * 4)
      .op("i32.add")
      .set(this.#local("pieceB"));
  }

  /** C = alpha sums + beta C, element by element; C is not read where beta is 0. */
  #storeTile(): void {
    const { code } = this;
    const sum = this.#sum;
    const value = this.#local("value", sum);
    code.i32(0).set(this.#local("i"));
    this.#loopBelow("i", "rows", 1, () => {
      this.#get("atC").#get("i").#param("rowC");
      code.op("i32.mul").op("i32.add").set(this.#local("from"));
      code.i32(0).set(this.#local("j"));
      this.#loopBelow("j", "columns", 1, () => {
        code.get(0);
        this.#get("i");
        code
          .i32(ROWS)
          .op("i32.div_u")
          .i32(TILE * ROWS * 4)
          .op("i32.mul")
          .op("i32.add");
        this.#get("j");
        code
          .i32(COLUMNS)
          .op("i32.div_u")
          .i32(COLUMNS * ROWS * 4)
          .op("i32.mul")
          .op("i32.add");
        this.#get("i");
        code
          .i32(ROWS)
          .op("i32.rem_u")
          .i32(COLUMNS * 4)
          .op("i32.mul")
          .op("i32.add");
        this.#get("j");
        code.i32(COLUMNS).op("i32.rem_u").i32(4).op("i32.mul").op("i32.add");
        code.access(`${sum}.load`, Context.SHARED + SUMS);
        this.#factor("alpha");
        code.op(`${sum}.mul`).set(value);
        this.#factor("beta");
        code[sum](0).op(`${sum}.ne`).if();
        code.get(value);
        this.#get("from");
        this.#load(elements[this.#type].result);
        this.#factor("beta");
        code.op(`${sum}.mul`).op(`${sum}.add`).set(value);
        code.end();
        this.#finish(value);
        this.#get("from");
        this.#store(value);
        this.#get("from");
        code.i32(this.#resultBytes).op("i32.add").set(this.#local("from"));
      });
    });
  }

  /** From an address to the element there as what a tile is summed in. */
  #load(element: Element): void {
    const { code } = this;
    const bits = this.#local("bits");
    if (element === "f32" || element === "i32") code.access(`${element}.load`);
    else if (element === "i8") code.access("i32.load8_s");
    else if (element === "bf16") code.access("i32.load16_u").i32(16).op("i32.shl").op("f32.reinterpret_i32");
    else if (element === "tf32") {
      // To nearest, ties away from zero, as cvt.rna.tf32 does; what is no number stays as it is.
      code.access("i32.load").tee(bits).i32(0x1000).op("i32.add").i32(~0x1fff).op("i32.and").get(bits);
      code.get(bits).i32(0x7fff_ffff).op("i32.and").i32(0x7f80_0000).op("i32.lt_u").op("select");
      code.op("f32.reinterpret_i32");
    } else {
      // Exponent and fraction shifted into place mean 2^-112 of the value, subnormals too; all ones of the exponent stay all ones.
      code.access("i32.load16_u").tee(bits).i32(0x7fff).op("i32.and").i32(13).op("i32.shl").op("f32.reinterpret_i32");
      code
        .f32(2 ** 112)
        .op("f32.mul")
        .op("i32.reinterpret_f32");
      code.i32(0x7f80_0000).i32(0);
      code.get(bits).i32(0x7c00).op("i32.and").i32(0x7c00).op("i32.eq").op("select").op("i32.or");
      code.get(bits).i32(0x8000).op("i32.and").i32(16).op("i32.shl").op("i32.or").op("f32.reinterpret_i32");
    }
  }

  /** Stores a value at the address on the stack. */
  #store(value: number): void {
    const { code } = this;
    if (this.#resultBytes === 4) {
      code.get(value).access(`${this.#sum}.store`);
      return;
    }
    const bits = this.#local("bits");
    code.get(value).op("i32.reinterpret_f32").set(bits);
    if (this.#type === "bf16") this.#roundTo({ bits, shift: 16, bias: 0 });
    else this.#toHalf(bits);
    code.access("i32.store16");
  }

  /** Cuts `shift` bits off, rounding to nearest even; what is no number becomes one quiet NaN. */
  #roundTo({ bits, shift, bias }: { bits: number; shift: number; bias: number }): void {
    const { code } = this;
    const half = 2 ** (shift - 1) - 1;
    code
      .get(bits)
      .i32(half - bias)
      .op("i32.add");
    code.get(bits).i32(shift).op("i32.shr_u").i32(1).op("i32.and").op("i32.add").i32(shift).op("i32.shr_u");
    if (shift !== 16) return;
    code.i32(0x7fc0);
    code.get(bits).i32(0x7fff_ffff).op("i32.and").i32(0x7f80_0000).op("i32.le_u").op("select");
  }

  #toHalf(bits: number): void {
    const { code } = this;
    const positive = this.#local("positive");
    code.get(bits).i32(0x7fff_ffff).op("i32.and").set(positive);
    // Normal numbers: the exponent moves from bias 127 to 15.
    this.#roundTo({ bits: positive, shift: 13, bias: 112 << 23 });
    // Subnormal ones: adding one half leaves their fraction, rounded, in the lowest bits.
    code.get(positive).op("f32.reinterpret_i32").f32(0.5).op("f32.add").op("i32.reinterpret_f32");
    code.i32(0x3f00_0000).op("i32.sub");
    code.get(positive).i32(0x3880_0000).op("i32.ge_u").op("select");
    // Infinities, what rounds to one, and what is no number.
    code.i32(0x7c00).i32(0x7e00).get(positive).i32(0x7f80_0000).op("i32.le_u").op("select");
    code.get(positive).i32(0x4780_0000).op("i32.lt_u").op("select");
    code.get(bits).i32(16).op("i32.shr_u").i32(0x8000).op("i32.and").op("i32.or");
  }

  #factor(name: "alpha" | "beta" | "alphaLow" | "betaLow"): void {
    const load = name === "alpha" || name === "beta" ? (`${this.#sum}.load` as const) : "f64.load";
    this.code.get(0).access(load, Context.PARAMS + productParams.indexOf(name) * 4);
  }

  #param(name: ProductParam): this {
    this.code.get(0).access("i32.load", Context.PARAMS + productParams.indexOf(name) * 4);
    return this;
  }

  #local(name: string, type: WasmType = "i32"): number {
    const known = this.#locals.get(name);
    if (known !== undefined) return known;
    const made = this.code.local(type);
    this.#locals.set(name, made);
    return made;
  }

  #get(name: string): this {
    this.code.get(this.#local(name));
    return this;
  }

  #set(name: string): this {
    this.code.set(this.#local(name));
    return this;
  }

  #add(name: string, other: string): void {
    this.#get(name).#get(other);
    this.code.op("i32.add").set(this.#local(name));
  }

  /** Runs the body as long as the local is not 0; it is not 0 at first. */
  #loopWhile(name: string, body: () => void): void {
    const loop = this.code.loop();
    body();
    this.#get(name);
    this.code.brIf(loop).end();
  }

  /** Runs the body for the counter, in steps, up to the limit, which is above 0. */
  #loopBelow(counter: string, limit: string, step: number, body: () => void): void {
    const loop = this.code.loop();
    body();
    this.#get(counter);
    this.code.i32(step).op("i32.add").tee(this.#local(counter));
    this.#get(limit);
    this.code.op("i32.lt_u").brIf(loop).end();
  }
}
