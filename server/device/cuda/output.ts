/**
 * What kernels print. The driver writes it to the process's standard output whenever the host synchronises, so that descriptor is pointed at a
 * file in memory while a slice is open, and read after each synchronisation. An executor prints nothing to its standard output itself.
 */
import { closeSync, fstatSync, ftruncateSync, readSync } from "node:fs";
import { StringDecoder } from "node:string_decoder";
import { SluiceError } from "../../../shared/errors.ts";
import koffi from "../native.ts";

const STDOUT = 1;
const F_SETFL = 4;
const O_APPEND = 0o2000;

interface Libc {
  readonly dup: (descriptor: number) => number;
  readonly dup2: (from: number, to: number) => number;
  readonly fcntl: (descriptor: number, command: number, kind: "int", value: number) => number;
  readonly memfdCreate: (name: string, flags: number) => number;
  readonly fflush: (file: number) => number;
}

let libc: Libc | undefined;

function loadLibc(): Libc {
  const library = koffi.load("libc.so.6");
  return {
    dup: library.func("dup", "int", ["int"]),
    dup2: library.func("dup2", "int", ["int", "int"]),
    fcntl: library.func("int fcntl(int descriptor, int command, ...)"),
    memfdCreate: library.func("memfd_create", "int", ["const char *", "uint32_t"]),
    fflush: library.func("fflush", "int", ["uint64_t"]),
  };
}

/** The redirection is one per process; slices of one lease share it. */
let shared: { readonly file: number; readonly original: number; users: number } | undefined;

export class OutputCapture {
  readonly #libc: Libc;
  readonly #onOutput: (text: string) => void;
  readonly #decoder = new StringDecoder("utf8");
  #open = true;

  constructor(onOutput: (text: string) => void) {
    libc ??= loadLibc();
    this.#libc = libc;
    this.#onOutput = onOutput;
    if (shared === undefined) {
      libc.fflush(0);
      const file = libc.memfdCreate("sluice-output", 1);
      const original = libc.dup(STDOUT);
      // Appending, so that emptying the file is enough to start anew.
      if (file < 0 || original < 0 || libc.fcntl(file, F_SETFL, "int", O_APPEND) < 0 || libc.dup2(file, STDOUT) < 0) {
        throw new SluiceError("DEVICE_FAILED", "The executor cannot redirect what kernels print.");
      }
      shared = { file, original, users: 0 };
    }
    shared.users++;
  }

  /** Passes on what the driver has written. To be called after a synchronisation. */
  drain(): void {
    if (shared === undefined) return;
    this.#libc.fflush(0);
    const { size } = fstatSync(shared.file);
    if (size === 0) return;
    const bytes = Buffer.alloc(size);
    const count = readSync(shared.file, bytes, 0, size, 0);
    ftruncateSync(shared.file, 0);
    const text = this.#decoder.write(bytes.subarray(0, count));
    if (text !== "") this.#onOutput(text);
  }

  /** The last slice to close points standard output back. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.drain();
    if (shared === undefined || --shared.users > 0) return;
    this.#libc.dup2(shared.original, STDOUT);
    closeSync(shared.original);
    closeSync(shared.file);
    shared = undefined;
  }
}
