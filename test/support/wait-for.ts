/** Waiting in tests: for a condition, with a deadline; never for a fixed time. */

/** Between two looks: at first, and in the end, since what is asked of a server costs both its time. */
const STEP_MS_MIN = 10;
const STEP_MS_MAX = 50;
/** What never happens is told after this time. Long, as a busy machine is no fault: a wait says nothing of how soon something happens. */
export const WAIT_MS_MAX = 30_000;

/** Polls `probe` until it returns something other than undefined and false; fails with `what` after `timeoutMs`. */
export async function waitFor<T>(
  what: string,
  probe: () => T | undefined | false | Promise<T | undefined | false>,
  timeoutMs = WAIT_MS_MAX,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (let stepMs = STEP_MS_MIN; ; stepMs = Math.min(1.25 * stepMs, STEP_MS_MAX)) {
    const found = await probe();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > deadline) throw new Error(`Waited ${timeoutMs} ms in vain for ${what}.`);
    await new Promise((resolve) => setTimeout(resolve, stepMs));
  }
}

/** The value of `promise`, or a failure naming `what` after `timeoutMs`. */
export async function inTime<T>(what: string, promise: Promise<T>, timeoutMs = WAIT_MS_MAX): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`Waited ${timeoutMs} ms in vain for ${what}.`)), timeoutMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
