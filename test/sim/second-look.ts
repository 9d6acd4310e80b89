/**
 * Whoever can be served is served at once: behind any event, another look at queue and reservations finds nothing to do, nothing else to keep
 * for the first of the queue, and no other time at which it is served. What it finds, some event has changed without the pool's looking.
 */
import { decide, nextDeadline, type PoolState } from "../../server/pool/pool.ts";
import type { PoolEvent } from "../../server/pool/types.ts";
import { check } from "./check.ts";

const idsOf = ({ headRoom }: PoolState): string => headRoom?.devices.map(({ spec }) => spec.id).join(" ") ?? "";

/** Has the pool look once more, and throws on what it finds. Changes nothing where nothing is wrong. */
export function lookAgain(pool: PoolState, { kind }: PoolEvent, now: number): void {
  // What is due now, such as the end of a lease of the store, is time's doing.
  if ((nextDeadline(pool) ?? Number.POSITIVE_INFINITY) <= now) return;
  const { headRoom: kept } = pool;
  const ids = idsOf(pool);
  pool.passNeeded = true;
  for (const reservation of pool.reservations.values()) pool.toServe.add(reservation);
  const effects = decide(pool, { kind: "tick" }, now);
  check(effects.length === 0, `Behind [${kind}] nothing is left to do: ${JSON.stringify(effects)}`);
  const { headRoom } = pool;
  check(headRoom?.holder === kept?.holder, `Behind [${kind}] the first of the queue is known.`);
  check(idsOf(pool) === ids, `Behind [${kind}] the devices [${ids}] are kept, and not [${idsOf(pool)}].`);
  // A time that is over means now.
  const [before, after] = [kept, headRoom].map((one) => Math.max(now, one?.startsAt ?? Number.POSITIVE_INFINITY));
  check(before === after, `Behind [${kind}] the first starts at [${before}], and not [${after}], at [${now}].`);
}
