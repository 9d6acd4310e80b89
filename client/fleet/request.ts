/**
 * Asks several servers for one lease. First all are asked whether they could grant it now, and the best that can is asked for it; where none
 * can, the request waits at all that ever could, and the first grant ends it everywhere else. At most one grant is kept (first-grant.ts).
 */
import { randomUUID } from "node:crypto";
import { type ErrorCode, SluiceError, toSluiceError } from "../../shared/errors.ts";
import { cancelled } from "../abort.ts";
import type { Control } from "../control.ts";
import { type LeaseWish, type RequestedLease, requestLease } from "../early-link.ts";
import { sleep } from "../outage.ts";
import { failureOf, silence } from "./failure.ts";
import { type Contender, firstGrant, within } from "./first-grant.ts";
import { Places } from "./places.ts";
import { type Answer, compareAnswers, type Surveyed, survey } from "./survey.ts";

/** How long a server that could grant, or queue, the request waits for the answers of others, and has to keep its word before the next is asked. */
export const PATIENCE_MS = 250;
/** How long servers that say nothing are waited for where all others have no room. */
export const LATE_MS_MAX = 2_000;
/** How often a server that was not there is asked again while the request waits elsewhere. */
const RETRY_MS = 2_000;

/** What is wrong with the server, and not with the request. */
const aboutServer: ReadonlySet<ErrorCode> = new Set([
  "SERVER_UNREACHABLE",
  "SHUTTING_DOWN",
  "STORE_FAILED",
  "UNAUTHENTICATED",
  "READ_ONLY",
  "UNSUPPORTED",
  "INTERNAL",
]);

/** What may have passed when the server is asked again. */
const passing: ReadonlySet<ErrorCode> = new Set(["SERVER_UNREACHABLE", "SHUTTING_DOWN", "STORE_FAILED"]);

export interface FleetGrant extends RequestedLease {
  readonly control: Control;
}

export interface FleetRequestOptions {
  readonly controls: readonly Control[];
  readonly wish: LeaseWish;
  /** Default PATIENCE_MS. */
  readonly patienceMs: number | undefined;
  /** Told of servers that the request goes on without. */
  readonly onLeftOut: (control: Control, error: SluiceError) => void;
  /** As in `GrantRace`. */
  readonly onRest: (rest: Promise<unknown>) => void;
}

interface Entrant extends Contender<RequestedLease> {
  readonly surveyed: Surveyed;
}

export class FleetRequest {
  readonly #options: FleetRequestOptions;
  readonly #servers: readonly Surveyed[];
  readonly #waitMs: number;
  readonly #patienceMs: number;
  readonly #places: Places;
  readonly #startedAt = performance.now();
  /** Servers that have been asked for what they offered. */
  readonly #tried = new Set<Surveyed>();
  readonly #failures = new Map<Surveyed, SluiceError>();

  constructor(options: FleetRequestOptions) {
    const { controls, wish } = options;
    this.#options = options;
    this.#waitMs = Number(wish.request.waitMs ?? 0);
    this.#patienceMs = options.patienceMs ?? PATIENCE_MS;
    this.#places = new Places(controls, (place) => wish.onQueued?.(place));
    this.#servers = survey(controls, wish.request, wish.signal);
  }

  /** @throws SluiceError CANCELLED, or what the servers have against it, as `failureOf` tells it. */
  async grant(): Promise<FleetGrant> {
    const { signal } = this.#options.wish;
    try {
      const granted = (await this.#grantNow()) ?? (await this.#grantLater());
      if (granted !== undefined) return granted;
    } finally {
      this.#places.close();
    }
    if (signal?.aborted) throw cancelled(signal);
    throw failureOf(
      this.#servers.map((server) => ({
        control: server.control,
        error: this.#failureAt(server) ?? silence(server.control),
      })),
    );
  }

  /** Asks the servers that offer it, the best first, until one keeps its word. */
  async #grantNow(): Promise<FleetGrant | undefined> {
    const { request, choose } = this.#options.wish;
    for (;;) {
      await this.#untilChoice();
      const offers = this.#untried().flatMap((surveyed) =>
        surveyed.answer?.kind === "now" ? [{ surveyed, answer: surveyed.answer }] : [],
      );
      if (offers.length === 0) return undefined;
      offers.sort((a, b) => compareAnswers(a.answer, b.answer, request.policy));
      for (const { surveyed } of offers) this.#tried.add(surveyed);
      const entrants = offers.map(({ surveyed }) =>
        this.#entrant(surveyed, (signal) => this.#ask(surveyed, { waitMs: 0, choose, signal })),
      );
      const granted = await this.#race(entrants, this.#patienceMs);
      if (granted !== undefined || this.#options.wish.signal?.aborted) return granted;
    }
  }

  /** Waits at all servers that may grant it one day, as long as one of them is there. */
  async #grantLater(): Promise<FleetGrant | undefined> {
    if (this.#leftMs === 0 || this.#options.wish.signal?.aborted) return undefined;
    const hopeful = this.#servers.filter(
      ({ answer, failure }) => answer?.kind !== "never" && (failure === undefined || passing.has(failure.code)),
    );
    if (hopeful.every(({ failure }) => failure !== undefined)) return undefined;
    this.#tellLeftOut();
    return await this.#race(
      hopeful.map((surveyed) => this.#entrant(surveyed, (signal) => this.#askAgain(surveyed, signal))),
      0,
    );
  }

  /** Until all have answered, or those that have are enough to choose of. */
  async #untilChoice(): Promise<void> {
    let deadline = Number.POSITIVE_INFINITY;
    for (;;) {
      deadline = Math.min(deadline, performance.now() + this.#waitForSilentMs());
      const silent = this.#servers.filter(isSilent).map(({ heard }) => heard);
      const leftMs = deadline - performance.now();
      if (silent.length === 0 || leftMs <= 0) return;
      const next = Promise.race(silent);
      await (leftMs === Number.POSITIVE_INFINITY ? next : within(leftMs, [next]));
    }
  }

  /** How long to wait for those that have not answered. */
  #waitForSilentMs(): number {
    const kinds = this.#untried().map(({ answer }) => answer?.kind);
    const canWait = this.#waitMs > 0 && (kinds.includes("later") || this.#tried.size > 0);
    if (kinds.includes("now") || canWait) return this.#patienceMs;
    return this.#servers.some(({ answer }) => answer !== undefined) ? LATE_MS_MAX : Number.POSITIVE_INFINITY;
  }

  #untried(): readonly Surveyed[] {
    return this.#servers.filter((surveyed) => !this.#tried.has(surveyed));
  }

  async #race(contenders: readonly Entrant[], staggerMs: number): Promise<FleetGrant | undefined> {
    const { wish, onRest } = this.#options;
    const won = await firstGrant<RequestedLease, Entrant>({
      contenders,
      staggerMs,
      onRest,
      onFailed: ({ surveyed }, error) => {
        this.#failures.set(surveyed, toSluiceError(error));
        this.#places.forget(surveyed.control);
      },
      signal: wish.signal,
    });
    if (won === undefined) return undefined;
    this.#tellLeftOut();
    return { ...won.grant, control: won.contender.surveyed.control };
  }

  #entrant(surveyed: Surveyed, ask: Entrant["ask"]): Entrant {
    return {
      surveyed,
      ask,
      giveBack: async ({ granted, early }) => {
        early.drop();
        await surveyed.control.giveBack(granted);
      },
    };
  }

  /** Under an id of its own: two names may be one server's. */
  #ask({ control, request }: Surveyed, how: Pick<LeaseWish, "choose" | "signal"> & { readonly waitMs: number }) {
    const { waitMs, ...wish } = how;
    return requestLease(control, {
      ...wish,
      request: { ...request, requestId: randomUUID(), waitMs },
      onQueued: (place) => this.#places.set(control, place),
      onAway: (error) => {
        this.#places.forget(control);
        this.#options.wish.onAway?.(error);
      },
    });
  }

  /** As long as the request waits: a server that is not there may come. */
  async #askAgain(surveyed: Surveyed, signal: AbortSignal): Promise<RequestedLease> {
    for (;;) {
      try {
        return await this.#ask(surveyed, { waitMs: this.#leftMs, signal });
      } catch (error) {
        const failure = toSluiceError(error);
        const pauseMs = Math.min(RETRY_MS, this.#leftMs);
        if (!passing.has(failure.code) || pauseMs === 0) throw failure;
        this.#places.forget(surveyed.control);
        this.#options.onLeftOut(surveyed.control, failure);
        await sleep(pauseMs, signal);
      }
    }
  }

  get #leftMs(): number {
    return Math.max(0, Math.round(this.#waitMs - (performance.now() - this.#startedAt)));
  }

  /** Nobody else will hear of a server that is wrongly set up. */
  #tellLeftOut(): void {
    for (const surveyed of this.#servers) {
      const error = this.#failureAt(surveyed);
      if (error !== undefined && aboutServer.has(error.code)) this.#options.onLeftOut(surveyed.control, error);
    }
  }

  #failureAt(surveyed: Surveyed): SluiceError | undefined {
    const { answer, failure } = surveyed;
    const said = answer?.kind === "never" ? answer.error : answer?.kind === "later" ? noRoom(answer) : undefined;
    return this.#failures.get(surveyed) ?? failure ?? said;
  }
}

/** Of a server that would have let the request wait, if there were time. */
const noRoom = ({ explanation: { reasons } }: Extract<Answer, { kind: "later" }>): SluiceError =>
  new SluiceError("NO_CAPACITY", "There is no room now, and the wait is over.", { reasons });

const isSilent = ({ answer, failure }: Surveyed): boolean => answer === undefined && failure === undefined;
