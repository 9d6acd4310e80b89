/** Waiting that can be called off: what every option `signal` of the client means. */
import { SluiceError } from "../shared/errors.ts";

/** The error of a wait that was called off; its cause is the signal's reason. */
export function cancelled(signal: AbortSignal | undefined): SluiceError {
  return new SluiceError("CANCELLED", "The caller withdraws the request.", { cause: signal?.reason });
}

/** `promise`, or CANCELLED as soon as `signal` is aborted; what it waits for goes on, and what comes of it then is for `onLate`. */
export function orAborted<T>(
  promise: Promise<T>,
  signal: AbortSignal | undefined,
  onLate?: ((value: T) => void) | undefined,
): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    let isLate = false;
    const onAbort = (): void => {
      isLate = true;
      reject(cancelled(signal));
    };
    const onValue = (value: T): void => (isLate ? onLate?.(value) : resolve(value));
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
    // Both outcomes are passed on, so that this chain itself never rejects.
    void promise.then(onValue, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

/**
 * What `work` comes to, under a signal that is aborted as soon as one of these is, until then. Not AbortSignal.any: of Node 20 that forgets
 * an AbortSignal.timeout which nothing else holds at the next garbage collection, and the wait never ends.
 */
export async function underAny<T>(
  signals: readonly (AbortSignal | undefined)[],
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const any = new AbortController();
  const hooks = signals.map((signal) => {
    if (signal === undefined) return () => {};
    const onAbort = (): void => any.abort(signal.reason);
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
    return () => signal.removeEventListener("abort", onAbort);
  });
  try {
    return await work(any.signal);
  } finally {
    for (const unhook of hooks) unhook();
  }
}
