/**
 * Work areas that libraries have in the server's memory: nothing says when they are done with one but the stream, so each is kept until that has done all its
 * work.
 */
import type { CudaContext } from "./context.ts";
import type { CudaStream } from "./stream.ts";

/** As much as is kept for streams that are not done; with more, the newest one is waited for. */
export const HOST_WORK_BYTES_MAX = 1024 * 1024 * 1024;

interface Kept {
  readonly stream: CudaStream;
  readonly areas: readonly Uint8Array[];
  readonly byteCount: number;
}

export class HostWork {
  readonly #context: CudaContext;
  #kept: Kept[] = [];

  constructor(context: CudaContext) {
    this.#context = context;
  }

  /** Bytes that are kept. */
  get byteCount(): number {
    return this.#kept.reduce((sum, each) => sum + each.byteCount, 0);
  }

  /** To be told once the work is queued that uses them. */
  keep(stream: CudaStream, areas: readonly Uint8Array[]): void {
    if (areas.length === 0) return;
    const { api } = this.#context;
    const isDone = new Map<CudaStream, boolean>();
    this.#kept.push({ stream, areas, byteCount: areas.reduce((sum, { byteLength }) => sum + byteLength, 0) });
    if (this.byteCount > HOST_WORK_BYTES_MAX) api.cuStreamSynchronize(stream.handle);
    this.#kept = this.#kept.filter(({ stream: on }) => {
      if (!isDone.has(on)) isDone.set(on, api.cuStreamQuery(on.handle) === 0);
      return isDone.get(on) === false;
    });
  }

  /** Of a stream that is done. */
  forget(stream: CudaStream): void {
    this.#kept = this.#kept.filter((each) => each.stream !== stream);
  }
}
