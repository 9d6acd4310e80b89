/** Reads a kernel's generic addresses from JavaScript, for printf and assert. Never faults: what is outside reads as zero. */
import { isGlobalRange, type MemoryLayout, Window } from "./layout.ts";
import type { PrintMemory } from "./printf.ts";

/** Strings end here at the latest. */
const STRING_BYTES_MAX = 64 * 1024;

export class KernelMemory implements PrintMemory {
  readonly #view: DataView;
  readonly #layout: MemoryLayout;
  /** Where the thread's local memory begins. */
  locals = 0;
  /** End of the memory that the kernel may read. */
  readonly #end: number;

  constructor(memory: ArrayBufferLike, layout: MemoryLayout) {
    this.#view = new DataView(memory);
    this.#layout = layout;
    this.#end = memory.byteLength;
  }

  string(address: bigint): string {
    const start = this.#index(address, 1);
    let text = "";
    for (let at = start; at < this.#end && at - start < STRING_BYTES_MAX; at++) {
      const byte = this.#view.getUint8(at);
      if (byte === 0) break;
      text += String.fromCharCode(byte);
    }
    return text;
  }

  word(address: bigint): number {
    const at = this.#index(address, 4);
    return at < this.#end ? this.#view.getUint32(at, true) : 0;
  }

  long(address: bigint): bigint {
    const at = this.#index(address, 8);
    return at < this.#end ? this.#view.getBigUint64(at, true) : 0n;
  }

  double(address: bigint): number {
    const at = this.#index(address, 8);
    return at < this.#end ? this.#view.getFloat64(at, true) : 0;
  }

  /** Index in linear memory; its end for an address that is nowhere. */
  #index(address: bigint, bytes: number): number {
    const offset = Number(address - BigInt(this.#layout.arenaBase));
    if (isGlobalRange(this.#layout, { offset, byteCount: bytes })) return offset;
    const low = Number(BigInt.asUintN(32, address));
    // Local memory is the only window that the runtime's own calls pass.
    if (address >> 32n !== BigInt(Window.LOCAL)) return this.#end;
    const at = this.locals + low;
    return at + bytes <= this.#end ? at : this.#end;
  }
}
