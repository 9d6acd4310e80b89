/**
 * Logins of browsers: a token is shown once, and from then on a cookie stands for it that scripts cannot read and other sites cannot
 * send. A session ends by logout, after its time, and at once with its token. It holds neither tokens nor cookies, only a hash of each
 * cookie, and nothing outlives the process.
 */
import { createHash } from "node:crypto";
import { SluiceError, toSluiceError } from "../../shared/errors.ts";
import type { Clock } from "../control/clock.ts";
import { type AuditLog, NOBODY } from "./audit-log.ts";
import { type Gate, hostOf, type Identity, seesAll } from "./identity.ts";
import { RateLimit } from "./rate-limit.ts";

/** A working day; then the token is asked for again. */
export const BROWSER_SESSION_MS = 12 * 3_600_000;

/** Sessions at once, in all and of one token; beyond them the oldest ends. */
const SESSIONS_MAX = 1_000;
const SESSIONS_PER_TOKEN_MAX = 50;

/** Wrong tokens from one address, per minute; then it waits. */
const FAILURES_PER_MINUTE = 10;

const COOKIE_BYTES = 32;

interface Session {
  readonly identity: Identity;
  readonly followers: Set<(reason: SluiceError) => void>;
  /** Stops following the token and waiting for the end. */
  readonly leave: () => void;
}

export interface BrowserSessionsOptions {
  readonly gate: Gate;
  readonly clock: Clock;
  readonly audit: AuditLog;
  readonly randomBytes: (byteCount: number) => Buffer;
  /** Whether the port speaks TLS: its cookie then never travels without. */
  readonly secure: boolean;
}

/** What a request shows. */
export interface Shown {
  /** The header `cookie`. */
  readonly cookie: string | undefined;
  /** A token, without the word Bearer. */
  readonly bearer: string | undefined;
  /** HOST:PORT. */
  readonly address: string;
}

export class BrowserSessions {
  readonly #options: BrowserSessionsOptions;
  readonly #name: string;
  /** By the hash of the cookie; the oldest first. */
  readonly #sessions = new Map<string, Session>();
  readonly #byIdentity = new WeakMap<Identity, Session>();
  readonly #failures = new RateLimit({ perSecond: FAILURES_PER_MINUTE / 60, burst: FAILURES_PER_MINUTE });

  constructor(options: BrowserSessionsOptions) {
    this.#options = options;
    // Browsers take the prefix __Host- only from the server itself, over TLS, for all of its paths.
    this.#name = options.secure ? "__Host-sluice" : "sluice";
  }

  /** The value of Set-Cookie for a good token. Throws SluiceError UNAUTHENTICATED, or TOO_MANY_REQUESTS after too many wrong ones. */
  login(token: string, address: string): { readonly setCookie: string; readonly identity: Identity } {
    const { gate, clock, audit, randomBytes } = this.#options;
    const what = { address, action: "Login", request: {} };
    const now = clock.now();
    const retryAfterMs = this.#failures.waitMs(hostOf(address), now);
    if (retryAfterMs > 0) {
      const message = `Too many wrong tokens come from [${hostOf(address)}]: wait a minute.`;
      throw new SluiceError("TOO_MANY_REQUESTS", message, { retryAfterMs });
    }
    let identity: Identity;
    try {
      identity = gate.identify(token, address);
    } catch (error) {
      this.#failures.take(hostOf(address), now);
      audit.refused({ ...what, identity: NOBODY }, toSluiceError(error));
      throw error;
    }
    if (seesAll(identity)) audit.begin({ ...what, identity })();
    const cookie = randomBytes(COOKIE_BYTES).toString("base64url");
    this.#add(hashOf(cookie), identity);
    return { setCookie: this.#cookie(cookie, BROWSER_SESSION_MS / 1000), identity };
  }

  /** Ends the session of a cookie, if there is one; returns the value of Set-Cookie that makes the browser forget it. */
  logout(cookie: string | undefined): string {
    const hash = this.#hashIn(cookie);
    if (hash !== undefined) this.#end(hash, new SluiceError("UNAUTHENTICATED", "The session is logged out."));
    return this.#cookie("", 0);
  }

  /** Who a request is from: by its cookie, else by the token it shows, else as the gate says. Throws SluiceError UNAUTHENTICATED. */
  identify({ cookie, bearer, address }: Shown): Identity {
    const hash = this.#hashIn(cookie);
    const session = hash === undefined ? undefined : this.#sessions.get(hash);
    if (session !== undefined) return session.identity;
    const { gate, audit } = this.#options;
    try {
      return gate.identify(bearer, address);
    } catch (error) {
      // A page that has not logged in yet is nothing to write down; a wrong token is.
      if (bearer !== undefined) {
        audit.refused({ identity: NOBODY, address, action: "Authenticate", request: {} }, toSluiceError(error));
      }
      throw error;
    }
  }

  /**
   * Calls `ended` once when the identity, as `identify` returned it, is no longer good: by logout, at its time, or with its token. For
   * what outlives a request. Returns what stops it.
   */
  follow(identity: Identity, ended: (reason: SluiceError) => void): () => void {
    const session = this.#byIdentity.get(identity);
    if (session === undefined) return this.#options.gate.follow(identity, ended);
    session.followers.add(ended);
    return () => {
      session.followers.delete(ended);
    };
  }

  /** Ends every session and its timers. */
  close(): void {
    for (const hash of this.#sessions.keys()) this.#end(hash, new SluiceError("SHUTTING_DOWN", "The server stops."));
  }

  #add(hash: string, gateIdentity: Identity): void {
    const { gate, clock } = this.#options;
    // An object of its own, by which the session is found again.
    const identity = { ...gateIdentity };
    const mine = [...this.#sessions].filter(([, session]) => session.identity.tokenId === identity.tokenId);
    const oldest = mine.length >= SESSIONS_PER_TOKEN_MAX ? mine[0]?.[0] : undefined;
    const surplus = oldest ?? (this.#sessions.size >= SESSIONS_MAX ? this.#sessions.keys().next().value : undefined);
    if (surplus !== undefined)
      this.#end(surplus, new SluiceError("UNAUTHENTICATED", "The session made room for others."));
    const end = (reason: SluiceError): void => this.#end(hash, reason);
    const unfollow = gate.follow(identity, end);
    const cancelTimer = clock.schedule(BROWSER_SESSION_MS, () =>
      end(new SluiceError("UNAUTHENTICATED", "The session is over: log in again.")),
    );
    const leave = (): void => {
      unfollow();
      cancelTimer();
    };
    const session: Session = { identity, followers: new Set(), leave };
    this.#sessions.set(hash, session);
    this.#byIdentity.set(identity, session);
  }

  #end(hash: string, reason: SluiceError): void {
    const session = this.#sessions.get(hash);
    if (session === undefined) return;
    this.#sessions.delete(hash);
    session.leave();
    for (const ended of session.followers) ended(reason);
  }

  #hashIn(header: string | undefined): string | undefined {
    for (const part of (header ?? "").split(";")) {
      const [name, value] = part.trim().split("=");
      if (name === this.#name && value) return hashOf(value);
    }
    return undefined;
  }

  #cookie(value: string, ageSeconds: number): string {
    const secure = this.#options.secure ? "; Secure" : "";
    return `${this.#name}=${value}; Path=/; Max-Age=${ageSeconds}; HttpOnly; SameSite=Strict${secure}`;
  }
}

const hashOf = (cookie: string): string => createHash("sha256").update(cookie).digest("base64");
