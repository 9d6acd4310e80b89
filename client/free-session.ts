/**
 * Under which of its leases a program works: the first that has no session. While all have one it asks again, for a bounded time. The
 * interposer has the same rule (interposer/core/opening.c).
 */
import { setTimeout as pause } from "node:timers/promises";
import { errorTable, SluiceError } from "../shared/errors.ts";
import { formatDuration } from "../shared/units.ts";
import { cancelled } from "./abort.ts";
import type { LeaseKey } from "./control.ts";
import { isPassing } from "./reconnection.ts";

/**
 * How long a program waits that says nothing else: a little longer than the session of one that was killed waits for its client. As the
 * interposer's.
 */
export const SESSION_WAIT_MS_DEFAULT = 35_000;
const STEP_MS_MIN = 20;
const STEP_MS_MAX = 200;
/** Who waits for longer than this without having said so is told why. */
const SILENT_MS_MAX = 1_000;

export interface FreeSessionOptions<Attached> {
  readonly keys: readonly LeaseKey[];
  /** Attaches to one lease, or throws why not: SESSION_BUSY while another has its session. */
  readonly attach: (key: LeaseKey) => Promise<Attached>;
  /** Whether the program itself has the session of that lease. */
  readonly isOwn: (leaseId: string) => boolean;
  /** How long the program says that it waits; undefined: it says nothing. */
  readonly askedWaitMs: number | undefined;
  /** How long it waits then; not at all for sessions that it has itself. */
  readonly defaultWaitMs: number;
  readonly signal: AbortSignal | undefined;
}

/** @throws SluiceError SESSION_BUSY when none came free in time, why the last lease ended when all have, CANCELLED, what else `attach` throws. */
export async function firstFreeSession<Attached>(options: FreeSessionOptions<Attached>): Promise<Attached> {
  const { attach, isOwn, askedWaitMs, defaultWaitMs, signal } = options;
  const startedAt = performance.now();
  let keys = options.keys;
  let isTold = askedWaitMs !== undefined;
  for (let stepMs = STEP_MS_MIN; ; stepMs = Math.min(STEP_MS_MAX, 1.5 * stepMs)) {
    const tried = await tryEach({ keys, attach, isWaiting: keys !== options.keys });
    if ("attached" in tried) return tried.attached;
    const { busy, ended } = tried;
    if (busy === undefined) throw ended;
    keys = busy.keys;
    const waitMs = askedWaitMs ?? (keys.every(({ leaseId }) => isOwn(leaseId)) ? 0 : defaultWaitMs);
    const waitedMs = performance.now() - startedAt;
    if (waitedMs >= waitMs) throw busy.error;
    if (!isTold && waitedMs >= SILENT_MS_MAX) {
      isTold = true;
      process.emitWarning(waitingWords(keys.length, waitMs), "SluiceWarning");
    }
    await pause(Math.min(stepMs, waitMs - waitedMs), undefined, signal && { signal }).catch(() => {
      throw cancelled(signal);
    });
  }
}

type Tried<Attached> =
  | { readonly attached: Attached }
  | {
      /** Leases that have a session, and why the first of them is not to be had. */
      readonly busy: { readonly error: SluiceError; readonly keys: readonly LeaseKey[] } | undefined;
      readonly ended: SluiceError | undefined;
    };

async function tryEach<Attached>({
  keys,
  attach,
  isWaiting,
}: Pick<FreeSessionOptions<Attached>, "keys" | "attach"> & {
  readonly isWaiting: boolean;
}): Promise<Tried<Attached>> {
  const busy: LeaseKey[] = [];
  let error: SluiceError | undefined;
  let ended: SluiceError | undefined;
  for (const key of keys) {
    try {
      return { attached: await attach(key) };
    } catch (reason) {
      if (!(reason instanceof SluiceError)) throw reason;
      if (errorTable[reason.code].whenTrying === "leaseIsOver") {
        ended = reason;
        continue;
      }
      // Who waits already waits for a server that starts anew as well.
      if (reason.code !== "SESSION_BUSY" && !(isWaiting && isPassing(reason))) throw reason;
      error ??= reason;
      busy.push(key);
    }
  }
  return { busy: error && { error, keys: busy }, ended };
}

function waitingWords(leases: number, waitMs: number): string {
  const who = leases === 1 ? "Another process has the only session" : `All [${leases}] sessions are in use`;
  return `${who}; this program waits for up to [${formatDuration(waitMs)}]. For ${leases + 1} processes at once: \`sluice run --processes ${leases + 1}\`.`;
}
