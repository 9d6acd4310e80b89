/** Waiting that can be called off: what every option `signal` of the client means. */
import { SluiceError } from "../shared/errors.ts";

/** The error of a wait that was called off; its cause is the signal's reason. */
export function cancelled(signal: AbortSignal | undefined): SluiceError {
  return new SluiceError("CANCELLED", "The caller withdraws the request.", { cause: signal?.reason });
}

/** `promise`, or CANCELLED as soon as `signal` is aborted; what it waits for goes on. */
export function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(cancelled(signal));
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
    // Both outcomes are passed on, so that this chain itself never rejects.
    void promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
