/** The check's time: a deadline of the whole and one of the group that runs, and the bounds that follow for whatever it waits for. */

/** By `performance.now()`: of the whole check, and of the group that runs. */
const deadlines = { check: Number.POSITIVE_INFINITY, group: Number.POSITIVE_INFINITY };

/** From now on no job runs for longer than until then, by `performance.now()`. */
export function setDeadline(atMs: number): void {
  deadlines.check = atMs;
}

/** The same for the jobs of one group, which begins now; until the next begins. */
export function beginGroup(limitMs: number): void {
  deadlines.group = performance.now() + limitMs;
}

/** What is left for all groups, in milliseconds. */
export const checkLeftMs = (): number => deadlines.check - performance.now();

export const isTimeOver = (): boolean => checkLeftMs() < 0;

/** What is left for the group that runs, in milliseconds; less than 0 when it should have ended. */
export const leftMs = (): number => Math.min(deadlines.check, deadlines.group) - performance.now();

/**
 * A bound for work that may take `limitMs`, or what is left of the time, and a second in any case. In whole milliseconds: child processes
 * are refused with a part of one.
 */
export const withinTime = (limitMs: number): number => Math.ceil(Math.min(limitMs, Math.max(1_000, leftMs())));
