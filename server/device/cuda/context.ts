/**
 * The primary context of one device in this process, and the one place that decides whether it is lost. Contexts are current per thread;
 * all calls come from the main thread, so one variable knows which is current. Waiting never blocks that thread: see waiting.ts.
 */
import type { ErrorCode, SluiceError } from "../../../shared/errors.ts";
import { CTX_SCHED_BLOCKING_SYNC, CUresult } from "./constants.ts";
import type { CudaApi } from "./library.ts";
import { isSticky, nativeError } from "./native-error.ts";

/** Context that the main thread has current; 0 for none. */
let current = 0;

export class CudaContext {
  readonly api: CudaApi;
  /** The driver's CUdevice. */
  readonly device: number;
  readonly #handle: number;
  readonly #onFailure: (error: SluiceError) => void;
  #failure: SluiceError | undefined;
  #released = false;

  /**
   * Retains the primary context, as the driver's manual recommends: libraries that find the context by themselves use the same one.
   * `onFailure` hears once when the context is lost.
   */
  constructor(options: { api: CudaApi; device: number; onFailure: (error: SluiceError) => void }) {
    this.api = options.api;
    this.device = options.device;
    this.#onFailure = options.onFailure;
    // Where the driver itself must wait (loading code, say), it sleeps instead of burning a core that another lease needs.
    this.check(this.api.cuDevicePrimaryCtxSetFlags_v2(this.device, CTX_SCHED_BLOCKING_SYNC), "set the context's flags");
    const handle = new BigUint64Array(1);
    this.check(this.api.cuDevicePrimaryCtxRetain(handle, this.device), "create a context");
    this.#handle = Number(handle[0]);
    try {
      this.#makeCurrent();
    } catch (error) {
      this.release();
      throw error;
    }
  }

  /** The error that ended this context; undefined while it works. */
  get failure(): SluiceError | undefined {
    return this.#failure;
  }

  /** Must open every use of the driver: throws the error of a lost context, else makes it current. */
  enter(): void {
    if (this.#failure !== undefined) throw this.#failure;
    this.#makeCurrent();
  }

  /** Throws for every result but success, and remembers one after which the context is lost. */
  check(result: number, doing: string, otherwise?: ErrorCode): void {
    if (result !== CUresult.SUCCESS) this.fail(result, doing, otherwise);
  }

  /** True for success, false for CUDA_ERROR_NOT_READY; throws for everything else. */
  ready(result: number, doing: string): boolean {
    if (result === CUresult.NOT_READY) return false;
    this.check(result, doing);
    return true;
  }

  fail(result: number, doing: string, otherwise?: ErrorCode): never {
    const error = nativeError(this.api, result, { doing, ...(otherwise === undefined ? {} : { otherwise }) });
    if (isSticky(result)) this.poison(error);
    throw error;
  }

  /** Declares the context lost. The first error stays. */
  poison(error: SluiceError): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#onFailure(error);
  }

  /** For giving memory back: makes the context current also when it is lost, since the driver may still free things. */
  enterToRelease(): void {
    if (this.#released) return;
    this.api.cuCtxSetCurrent(this.#handle);
    current = this.#handle;
  }

  /** Gives the context back; the last one to do so ends it. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.api.cuCtxSetCurrent(0);
    current = 0;
    this.api.cuDevicePrimaryCtxRelease_v2(this.device);
  }

  #makeCurrent(): void {
    if (current === this.#handle) return;
    this.check(this.api.cuCtxSetCurrent(this.#handle), "make the context current");
    current = this.#handle;
  }
}
