/**
 * How the functions of a native library are described and bound: one line per function, from which both koffi's signature and the type
 * of the TypeScript function follow. Handles and addresses travel as 64-bit numbers, which are exact below 2^53 and cheapest that way.
 */
import type { LibraryHandle } from "koffi";
import { SluiceError } from "../../../shared/errors.ts";
import koffi from "../native.ts";

/** Kinds of argument: `u64` also carries handles, addresses and size_t; `memory` is an ArrayBufferView whose bytes C reads or writes. */
export const nativeTypes = {
  i32: "int32_t",
  u32: "uint32_t",
  u16: "uint16_t",
  u8: "uint8_t",
  u64: "uint64_t",
  memory: "void *",
  text: "const char *",
} as const;
export type ArgumentKind = keyof typeof nativeTypes;

type ArgumentValue<K extends ArgumentKind> = K extends "memory"
  ? ArrayBufferView | null
  : K extends "text"
    ? string
    : K extends "u64"
      ? number | bigint
      : number;

export type Signatures = Readonly<Record<string, readonly ArgumentKind[]>>;

type Values<A extends readonly ArgumentKind[]> = { -readonly [I in keyof A]: ArgumentValue<A[I]> };

/** Functions that return their status as an int. */
export type Bound<S extends Signatures> = {
  readonly [K in keyof S]: (...values: Values<S[K]>) => number;
};

/** Binds every function of `signatures`; throws DEVICE_FAILED naming the first one that the library lacks. */
export function bind<S extends Signatures>(
  library: LibraryHandle,
  signatures: S,
  options: { lacking: (name: string) => string },
): Bound<S> {
  const bound: Record<string, unknown> = {};
  for (const [name, kinds] of Object.entries(signatures)) {
    try {
      bound[name] = library.func(
        name,
        "int",
        kinds.map((kind) => nativeTypes[kind]),
      );
    } catch (cause) {
      throw new SluiceError("DEVICE_FAILED", options.lacking(name), { cause });
    }
  }
  return bound as Bound<S>;
}

/** A function that returns its status as an int; undefined where the library has none of that name. */
export function bindIfThere(
  library: LibraryHandle,
  name: string,
  types: readonly string[],
): ((...values: readonly unknown[]) => number) | undefined {
  try {
    return library.func(name, "int", [...types]);
  } catch {
    return undefined;
  }
}

/** Opens a shared library by name or path; undefined when the loader does not find it or it cannot be used. */
export function openLibrary(path: string): { handle: LibraryHandle } | { failure: string } {
  try {
    return { handle: koffi.load(path) };
  } catch (error) {
    return { failure: error instanceof Error ? error.message : String(error) };
  }
}

/** Where Windows has the driver for its Linux subsystem, whose loader does not always look there. */
const WSL_FOLDER = "/usr/lib/wsl/lib";

/** Opens a library of the driver's: as the system's loader finds it, else where `folder` has one of that name. */
export function openDriver(name: string, folder = WSL_FOLDER): ReturnType<typeof openLibrary> {
  const opened = openLibrary(name);
  if ("handle" in opened || name.includes("/")) return opened;
  const elsewhere = openLibrary(`${folder}/${name}`);
  return "handle" in elsewhere ? elsewhere : opened;
}

/** The NUL-terminated text at a native address; empty for address 0. */
export const textAt = (address: number | bigint): string =>
  BigInt(address) === 0n ? "" : koffi.decode.string(BigInt(address));

/** Native memory as bytes, without a copy. It must outlive every use of the view. */
export const bytesAt = (address: number, byteCount: number): Uint8Array<ArrayBuffer> =>
  new Uint8Array(koffi.view(BigInt(address), byteCount));

/** Address of the first byte of a view. The view must stay alive, and its buffer must not move, while C uses the address. */
export const addressOf = (view: ArrayBufferView): bigint => koffi.address(view);
