/** Puts functions together to a WebAssembly module in the binary format. It knows nothing of PTX. */
import { ByteWriter, type Code, typeBytes, type WasmType } from "./code.ts";

/** A function's type. */
export interface Signature {
  readonly params: readonly WasmType[];
  readonly results: readonly WasmType[];
}

/** A module with one imported shared memory. Imports come first; then functions are declared and filled in any order. */
export class ModuleWriter {
  readonly #types: Signature[] = [];
  readonly #typeIndex = new Map<string, number>();
  readonly #imports: { name: string; type: number }[] = [];
  readonly #functions: { type: number; code: Code | undefined }[] = [];
  readonly #exports: { name: string; index: number }[] = [];
  readonly #memoryPages: number;

  /** `memoryPages`: the exact size of the shared memory `env.memory` in pages of 64 KiB. */
  constructor(memoryPages: number) {
    this.#memoryPages = memoryPages;
  }

  /** Declares `env.NAME` and returns its index. All imports must be declared before the first function. */
  import(name: string, signature: Signature): number {
    if (this.#functions.length > 0) throw new Error("imports come before functions");
    this.#imports.push({ name, type: this.#type(signature) });
    return this.#imports.length - 1;
  }

  /** Reserves an index for a function, so that others may call it before it is written. */
  declare(signature: Signature): number {
    this.#functions.push({ type: this.#type(signature), code: undefined });
    return this.#imports.length + this.#functions.length - 1;
  }

  define(index: number, code: Code): void {
    this.#functions[index - this.#imports.length]!.code = code;
  }

  export(name: string, index: number): void {
    this.#exports.push({ name, index });
  }

  finish(): Uint8Array<ArrayBuffer> {
    const out = new ByteWriter();
    out.bytes(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0));
    section(out, 1, this.#types, (part, { params, results }) => {
      part.byte(0x60);
      for (const list of [params, results]) {
        part.unsigned(list.length);
        for (const type of list) part.byte(typeBytes[type]);
      }
    });
    this.#writeImports(out);
    section(out, 3, this.#functions, (part, { type }) => part.unsigned(type));
    section(out, 7, this.#exports, (part, { name, index }) => {
      part.string(name);
      part.byte(0);
      part.unsigned(index);
    });
    section(out, 10, this.#functions, (part, { code }) => {
      if (code === undefined) throw new Error("a declared function has no code");
      const body = code.finish();
      part.unsigned(body.length);
      part.bytes(body);
    });
    return out.finish();
  }

  #writeImports(out: ByteWriter): void {
    const memory = { name: "memory", type: -1 };
    section(out, 2, [memory, ...this.#imports], (part, { name, type }) => {
      part.string("env");
      part.string(name);
      if (type < 0) {
        // A shared memory: minimum and maximum are given.
        part.byte(2);
        part.byte(3);
        part.unsigned(this.#memoryPages);
        part.unsigned(this.#memoryPages);
      } else {
        part.byte(0);
        part.unsigned(type);
      }
    });
  }

  #type(signature: Signature): number {
    const key = `${signature.params.join()}>${signature.results.join()}`;
    const known = this.#typeIndex.get(key);
    if (known !== undefined) return known;
    this.#types.push(signature);
    this.#typeIndex.set(key, this.#types.length - 1);
    return this.#types.length - 1;
  }
}

function section<T>(
  out: ByteWriter,
  id: number,
  items: readonly T[],
  write: (part: ByteWriter, item: T) => void,
): void {
  const part = new ByteWriter();
  part.unsigned(items.length);
  for (const item of items) write(part, item);
  out.byte(id);
  out.unsigned(part.length);
  out.bytes(part.finish());
}
