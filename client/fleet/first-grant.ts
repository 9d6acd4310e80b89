/**
 * Asks several servers for one lease, side by side or one after the other, and keeps exactly one grant: the first. All others are called off
 * at once, and a grant that comes all the same is given back before the caller hears of the first. It knows no servers and no requests.
 */
import { underAny } from "../abort.ts";

/** How long the caller of a grant waits for others to be called off: one that hangs is told in the background. */
const WITHDRAW_MS_MAX = 250;

export interface Contender<Grant> {
  /** Asks; rejects soon after the signal, and has then given back what it may have got. */
  readonly ask: (signal: AbortSignal) => Promise<Grant>;
  /** Gives back what it got too late. */
  readonly giveBack: (grant: Grant) => Promise<void>;
}

export interface GrantRace<Grant, Each extends Contender<Grant>> {
  readonly contenders: readonly Each[];
  /** How long each has before the next is asked beside it; a refusal is followed at once. 0: all at the same time. */
  readonly staggerMs: number;
  readonly onFailed: (contender: Each, error: unknown) => void;
  /** Told once what is over when nobody asks any more and nothing is left to give back. */
  readonly onRest: (rest: Promise<unknown>) => void;
  readonly signal: AbortSignal | undefined;
}

export interface WonGrant<Grant, Each> {
  readonly contender: Each;
  readonly grant: Grant;
}

/** The first grant, with whose it is; undefined when all refuse, or when `signal` calls all off. */
export async function firstGrant<Grant, Each extends Contender<Grant>>(
  race: GrantRace<Grant, Each>,
): Promise<WonGrant<Grant, Each> | undefined> {
  const over = new AbortController();
  return await underAny([race.signal, over.signal], (called) => run(race, over, called));
}

async function run<Grant, Each extends Contender<Grant>>(
  { contenders, staggerMs, onFailed, onRest }: GrantRace<Grant, Each>,
  over: AbortController,
  called: AbortSignal,
): Promise<WonGrant<Grant, Each> | undefined> {
  let first: WonGrant<Grant, Each> | undefined;
  const enter = async (contender: Each): Promise<void> => {
    try {
      const grant = await contender.ask(called);
      if (first !== undefined) await contender.giveBack(grant);
      else {
        first = { contender, grant };
        over.abort(new Error("Another server grants the request."));
      }
    } catch (error) {
      if (!called.aborted) onFailed(contender, error);
    }
  };
  const entered: Promise<void>[] = [];
  for (const contender of contenders) {
    if (called.aborted) break;
    const entry = enter(contender);
    entered.push(entry);
    if (staggerMs > 0) await within(staggerMs, [entry]);
  }
  const all = Promise.all(entered);
  onRest(all);
  await Promise.race([all, aborted(called)]);
  await within(WITHDRAW_MS_MAX, called.aborted ? [all] : []);
  return first;
}

/** Resolves when all are settled, or after so long. */
export async function within(milliseconds: number, all: readonly Promise<unknown>[]): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, milliseconds);
  });
  await Promise.race([Promise.allSettled(all), late]);
  clearTimeout(timer);
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
