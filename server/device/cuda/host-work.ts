/**
 * Work areas that libraries have in the server's memory: nothing says when they are done with one but the stream, so each is kept until that has done all its
 * work.
 */
import { SluiceError } from "../../../shared/errors.ts";
import { formatSizeRounded } from "../../../shared/units.ts";
import type { CudaContext } from "./context.ts";
import type { CudaStream } from "./stream.ts";

/** As much as a library's work may have at a time. */
export const HOST_WORK_BYTES_MAX = 1024 * 1024 * 1024;

interface Kept {
  readonly stream: CudaStream;
  readonly areas: readonly Uint8Array[];
}

const bytesOf = (areas: readonly Uint8Array[]): number => areas.reduce((sum, { byteLength }) => sum + byteLength, 0);

export class HostWork {
  readonly #context: CudaContext;
  #kept: Kept[] = [];

  constructor(context: CudaContext) {
    this.#context = context;
  }

  /** Bytes that are kept. */
  get byteCount(): number {
    return this.#kept.reduce((sum, { areas }) => sum + bytesOf(areas), 0);
  }

  /** To be asked before the work is queued that uses them. @throws SluiceError OUT_OF_MEMORY where work that is not done has too much */
  makeRoom(areas: readonly Uint8Array[]): void {
    const isDone = new Map<CudaStream, boolean>();
    this.#kept = this.#kept.filter(({ stream }) => {
      const known = isDone.get(stream) ?? this.#context.api.cuStreamQuery(stream.handle) === 0;
      isDone.set(stream, known);
      return !known;
    });
    const byteCount = this.byteCount + bytesOf(areas);
    if (byteCount <= HOST_WORK_BYTES_MAX) return;
    const wanted = `[${formatSizeRounded(byteCount)}] of work areas in the server's memory`;
    throw new SluiceError("OUT_OF_MEMORY", `Work that is not done would have ${wanted}, more than there may be.`);
  }

  /** Once it is queued. */
  keep(stream: CudaStream, areas: readonly Uint8Array[]): void {
    this.#kept.push({ stream, areas });
  }

  /** Of a stream that is done. */
  forget(stream: CudaStream): void {
    this.#kept = this.#kept.filter((each) => each.stream !== stream);
  }
}
