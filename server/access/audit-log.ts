/**
 * The audit log: who did what, when, from where, and how it ended. An action is written down before it is done, so that none is done
 * that is not written; on a full disk the few that take away or close are told to the server's log and written once there is room.
 * Failed tokens are written too, but not so often that they fill the log. Never holds a secret.
 */
import { type SluiceError, toSluiceError } from "../../shared/errors.ts";
import type { Clock } from "../control/clock.ts";
import type { EventStore, StoredEvent } from "../store/event-store.ts";
import { hostOf, type Identity } from "./identity.ts";
import { RateLimit } from "./rate-limit.ts";
import { withoutTokens } from "./token.ts";

/** Longer requests are cut. */
const DETAILS_LENGTH_MAX = 1_000;

/** Fields of requests that must not be written down, whatever they hold. */
const SECRET_FIELD = /secret|token$|password|authorization/i;

/** One refusal per address or token and minute is written, and never more than these of all. */
const REFUSALS_PER_MINUTE = 60;

/** The server itself, or somebody whom nobody knows. */
export const NOBODY: Identity = { tenant: "", role: "tenant", tokenId: "" };

export interface Action {
  readonly identity: Identity;
  /** HOST:PORT; empty for the server itself. */
  readonly address: string;
  /** The name of its RPC: `Cordon`. */
  readonly action: string;
  readonly request: object;
}

export interface AuditLogOptions {
  readonly store: EventStore;
  readonly clock: Clock;
  /** Hears of an action that is done and not written yet, and why. */
  readonly onUnwritten?: ((event: Omit<StoredEvent, "id">, reason: SluiceError) => void) | undefined;
}

/**
 * What an admin must be able to do whatever the disk does: stop somebody, free something, and come in to do so. After a crash before there
 * is room again, it may have to be done once more.
 */
const urgent: ReadonlySet<string> = new Set([
  ...["Cordon", "Drain", "Revoke", "RevokeToken", "CancelQueued", "Release", "Unreserve", "Login"],
]);

export class AuditLog {
  readonly #options: AuditLogOptions;
  readonly #refusalsPerAddress = new RateLimit({ perSecond: 1 / 60, burst: 1 });
  readonly #refusals = new RateLimit({ perSecond: REFUSALS_PER_MINUTE / 60, burst: REFUSALS_PER_MINUTE });

  constructor(options: AuditLogOptions) {
    this.#options = options;
    options.store.closeInterrupted();
  }

  /**
   * Writes an action down; it is on disk when this returns, but for an urgent one on a full disk. Returns what to call at its end. Throws
   * SluiceError STORE_FAILED.
   */
  begin({ identity, address, action, request }: Action): (error?: unknown) => void {
    const { clock } = this.#options;
    const { tenant, tokenId } = identity;
    const event = {
      ...{ at: clock.now(), tenant, tokenId, address, action },
      ...{ details: detailsOf(request), outcome: "", message: "" },
    };
    const finish = this.#add(event);
    return (cause) => {
      const error = cause === undefined ? undefined : toSluiceError(cause);
      finish(error?.code ?? "OK", error?.message ?? "");
    };
  }

  #add(event: Omit<StoredEvent, "id">): (outcome: string, message: string) => void {
    const { store, onUnwritten } = this.#options;
    try {
      const id = store.add(event);
      return (outcome, message) => store.finish(id, outcome, message);
    } catch (error) {
      if (!urgent.has(event.action)) throw error;
      onUnwritten?.(event, toSluiceError(error));
      const id = store.addLate(event);
      return (outcome, message) => store.finishLate({ ...event, id, outcome, message });
    }
  }

  /** Does an action that is over at once, and writes it down. */
  run<T>(action: Action, work: () => T): T {
    const finish = this.begin(action);
    try {
      const done = work();
      finish();
      return done;
    } catch (error) {
      finish(error);
      throw error;
    }
  }

  /** Somebody who is not let in: written down, as long as there are not too many. Never throws. */
  refused(what: Action, reason: SluiceError): void {
    const now = this.#options.clock.now();
    const key = what.identity.tokenId || hostOf(what.address);
    if (!this.#refusalsPerAddress.take(key, now) || !this.#refusals.take("", now)) return;
    try {
      this.begin(what)(reason);
    } catch {
      // The log of the store says that it cannot be written; the caller is refused all the same.
    }
  }
}

/** A request without its secrets, as short JSON. */
function detailsOf(request: object): string {
  const text = JSON.stringify(request, (name, value: unknown) => {
    if (SECRET_FIELD.test(name) || value instanceof Uint8Array) return undefined;
    return value === null || value === "" ? undefined : value;
  });
  const shown = withoutTokens(text);
  return shown.length > DETAILS_LENGTH_MAX ? `${shown.slice(0, DETAILS_LENGTH_MAX)}...` : shown;
}
