/**
 * Writes the body of one WebAssembly function. It knows the binary format and nothing of PTX. Branch targets are named by
 * the nesting depth at which they were opened, so that code in between can open and close blocks freely.
 */
import { accessLog2, type OpName, opcodes } from "./opcodes.ts";

export type WasmType = "i32" | "i64" | "f32" | "f64" | "v128";

export const typeBytes: Record<WasmType, number> = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, v128: 0x7b };

/** Names an open block, loop or if. */
export type Label = number;

/** Bytes that grow as needed, with the integer encodings of the format. */
export class ByteWriter {
  #bytes = new Uint8Array(256);
  length = 0;

  byte(value: number): void {
    if (this.length === this.#bytes.length) this.#grow(1);
    this.#bytes[this.length++] = value;
  }

  bytes(values: Uint8Array): void {
    this.#grow(values.length);
    this.#bytes.set(values, this.length);
    this.length += values.length;
  }

  /** Unsigned, below 2^32. */
  unsigned(value: number): void {
    let rest = value >>> 0;
    while (rest >= 0x80) {
      this.byte((rest & 0x7f) | 0x80);
      rest >>>= 7;
    }
    this.byte(rest);
  }

  signed32(value: number): void {
    let rest = value | 0;
    for (;;) {
      const low = rest & 0x7f;
      rest >>= 7;
      if ((rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0)) {
        this.byte(low);
        return;
      }
      this.byte(low | 0x80);
    }
  }

  signed64(value: bigint): void {
    let rest = BigInt.asIntN(64, value);
    if (rest >= -0x80000000n && rest <= 0x7fffffffn) {
      this.signed32(Number(rest));
      return;
    }
    for (;;) {
      const low = Number(rest & 0x7fn);
      rest >>= 7n;
      if ((rest === 0n && (low & 0x40) === 0) || (rest === -1n && (low & 0x40) !== 0)) {
        this.byte(low);
        return;
      }
      this.byte(low | 0x80);
    }
  }

  string(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.unsigned(bytes.length);
    this.bytes(bytes);
  }

  finish(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.length);
  }

  #grow(count: number): void {
    if (this.length + count <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(this.#bytes.length * 2, this.length + count));
    larger.set(this.#bytes.subarray(0, this.length));
    this.#bytes = larger;
  }
}

const scratch = new DataView(new ArrayBuffer(8));

/** One function: parameters, locals and code. */
export class Code {
  readonly #out = new ByteWriter();
  readonly params: readonly WasmType[];
  readonly results: readonly WasmType[];
  readonly #locals: WasmType[] = [];
  #depth = 0;

  constructor(params: readonly WasmType[], results: readonly WasmType[]) {
    this.params = params;
    this.results = results;
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#out.length;
  }

  /** A new local; zero at the function's start. */
  local(type: WasmType): number {
    this.#locals.push(type);
    return this.params.length + this.#locals.length - 1;
  }

  op(name: OpName): this {
    const number = opcodes[name];
    if (number > 0xff) {
      this.#out.byte(number >>> 16);
      this.#out.unsigned(number & 0xffff);
    } else this.#out.byte(number);
    return this;
  }

  get(local: number): this {
    this.#out.byte(0x20);
    this.#out.unsigned(local);
    return this;
  }

  set(local: number): this {
    this.#out.byte(0x21);
    this.#out.unsigned(local);
    return this;
  }

  tee(local: number): this {
    this.#out.byte(0x22);
    this.#out.unsigned(local);
    return this;
  }

  i32(value: number): this {
    this.#out.byte(0x41);
    this.#out.signed32(value);
    return this;
  }

  i64(value: bigint): this {
    this.#out.byte(0x42);
    this.#out.signed64(value);
    return this;
  }

  f32(value: number): this {
    scratch.setFloat32(0, value, true);
    return this.f32Bits(scratch.getUint32(0, true));
  }

  f32Bits(bits: number): this {
    this.#out.byte(0x43);
    for (let shift = 0; shift < 32; shift += 8) this.#out.byte((bits >>> shift) & 0xff);
    return this;
  }

  f64(value: number): this {
    scratch.setFloat64(0, value, true);
    return this.f64Bits(scratch.getBigUint64(0, true));
  }

  f64Bits(bits: bigint): this {
    this.#out.byte(0x44);
    scratch.setBigUint64(0, BigInt.asUintN(64, bits), true);
    for (let index = 0; index < 8; index++) this.#out.byte(scratch.getUint8(index));
    return this;
  }

  /** A load, store or atomic access, naturally aligned for atomics; `offset` is below 2^32. */
  access(name: OpName, offset = 0): this {
    this.op(name);
    // Alignment is a promise only for atomics; elsewhere it is a hint, and the natural one is the truth here.
    this.#out.unsigned(accessLog2(name));
    this.#out.unsigned(offset);
    return this;
  }

  /** `memory.copy` and `memory.fill` name their memories by trailing zero bytes. */
  bulk(name: "memory.copy" | "memory.fill"): this {
    this.op(name);
    this.#out.byte(0);
    if (name === "memory.copy") this.#out.byte(0);
    return this;
  }

  lane(name: `${"i32x4" | "i64x2" | "f32x4" | "f64x2"}.${"extract" | "replace"}_lane`, lane: number): this {
    this.op(name);
    this.#out.byte(lane);
    return this;
  }

  /** A load or store of one lane; what a load does not fill stays. */
  accessLane(name: `v128.${"load" | "store"}${32 | 64}_lane`, offset: number, lane: number): this {
    this.access(name, offset);
    this.#out.byte(lane);
    return this;
  }

  /** Sixteen bytes, the lowest first. */
  v128(bytes: Uint8Array): this {
    this.op("v128.const");
    for (const byte of bytes) this.#out.byte(byte);
    return this;
  }

  /** Sixteen of the thirty-two bytes of two vectors, by their numbers. */
  shuffle(bytes: readonly number[]): this {
    this.op("i8x16.shuffle");
    for (const byte of bytes) this.#out.byte(byte);
    return this;
  }

  fence(): this {
    this.op("atomic.fence");
    this.#out.byte(0);
    return this;
  }

  call(index: number): this {
    this.#out.byte(0x10);
    this.#out.unsigned(index);
    return this;
  }

  block(): Label {
    return this.#open(0x02, undefined);
  }

  loop(): Label {
    return this.#open(0x03, undefined);
  }

  if(result?: WasmType): Label {
    return this.#open(0x04, result);
  }

  else(): this {
    this.#out.byte(0x05);
    return this;
  }

  end(): this {
    this.#depth--;
    this.#out.byte(0x0b);
    return this;
  }

  br(label: Label): this {
    this.#out.byte(0x0c);
    this.#out.unsigned(this.#depth - label);
    return this;
  }

  brIf(label: Label): this {
    this.#out.byte(0x0d);
    this.#out.unsigned(this.#depth - label);
    return this;
  }

  brTable(labels: readonly Label[], otherwise: Label): this {
    this.#out.byte(0x0e);
    this.#out.unsigned(labels.length);
    for (const label of labels) this.#out.unsigned(this.#depth - label);
    this.#out.unsigned(this.#depth - otherwise);
    return this;
  }

  /** Locals and code as the format's code section wants them. */
  finish(): Uint8Array {
    const whole = new ByteWriter();
    const runs: [count: number, type: WasmType][] = [];
    for (const type of this.#locals) {
      const last = runs.at(-1);
      if (last?.[1] === type) last[0]++;
      else runs.push([1, type]);
    }
    whole.unsigned(runs.length);
    for (const [count, type] of runs) {
      whole.unsigned(count);
      whole.byte(typeBytes[type]);
    }
    whole.bytes(this.#out.finish());
    whole.byte(0x0b);
    return whole.finish();
  }

  #open(opcode: number, result: WasmType | undefined): Label {
    this.#out.byte(opcode);
    this.#out.byte(result === undefined ? 0x40 : typeBytes[result]);
    this.#depth++;
    return this.#depth;
  }
}
