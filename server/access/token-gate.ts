/**
 * The gate of a server, and its tokens: makes, checks, revokes and lists them, and tells those who follow one when it is no longer good.
 * It asks for a token when the configuration says so, or once there was one. It keeps hashes and no tokens.
 */
import { SluiceError } from "../../shared/errors.ts";
import type { Clock } from "../control/clock.ts";
import type { StoredToken, TokenStore } from "../store/token-store.ts";
import { type Gate, type Identity, OpenGate, type Role } from "./identity.ts";
import { createToken, matchesToken, tokenIdOf } from "./token.ts";

const DAY_MS = 86_400_000;
export const TOKEN_LIFETIME_MS = 365 * DAY_MS;
export const TOKEN_LIFETIME_MS_MAX = 3_650 * DAY_MS;

/** Tokens kept, ended ones included: the oldest that has ended makes room. */
export const TOKENS_MAX = 10_000;

/** Use is noted to the minute: a write per request would cost more than the request. */
const USE_STEP_MS = 60_000;

export interface TokenTerms {
  readonly tenant: string;
  readonly role: Role;
  readonly note: string;
  /** At most TOKEN_LIFETIME_MS_MAX. */
  readonly lifetimeMs: number;
}

/** A token as listings show it. */
export type TokenInfo = Omit<StoredToken, "hash">;

export interface TokenGateOptions {
  readonly store: TokenStore;
  readonly clock: Clock;
  readonly randomBytes: (byteCount: number) => Buffer;
  /** Whether to ask for a token although there was none yet. */
  readonly required: boolean;
}

/** Those who follow one token, and what stops waiting for its expiry. */
interface Followers {
  readonly ended: Set<(reason: SluiceError) => void>;
  cancelTimer: () => void;
}

const noToken = new SluiceError("UNAUTHENTICATED", "The request shows no token, and the server asks for one.");

export class TokenGate implements Gate {
  readonly #options: TokenGateOptions;
  readonly #tokens: Map<string, StoredToken>;
  readonly #followers = new Map<string, Followers>();
  readonly #openGate = new OpenGate();

  constructor(options: TokenGateOptions) {
    this.#options = options;
    this.#tokens = new Map(options.store.all().map((token) => [token.id, token]));
  }

  get open(): boolean {
    return !this.#options.required && this.#tokens.size === 0;
  }

  /** Whether somebody has a token with which to make others. */
  get hasAdmin(): boolean {
    return [...this.#tokens.values()].some((token) => token.role === "admin" && this.#whyEnded(token) === undefined);
  }

  identify(bearer: string | undefined, peerAddress: string): Identity {
    if (this.open) return this.#openGate.identify(bearer, peerAddress);
    if (bearer === undefined) throw noToken;
    const id = tokenIdOf(bearer);
    const token = id === undefined ? undefined : this.#tokens.get(id);
    if (token === undefined || !matchesToken(bearer, token.hash)) {
      throw new SluiceError("UNAUTHENTICATED", "The server does not know the token that the request shows.");
    }
    const ended = this.#whyEnded(token);
    if (ended !== undefined) throw ended;
    this.#noteUse(token);
    return { tenant: token.tenant, role: token.role, tokenId: token.id };
  }

  follow({ tokenId }: Identity, ended: (reason: SluiceError) => void): () => void {
    let followers = this.#followers.get(tokenId);
    if (followers === undefined) {
      followers = { ended: new Set(), cancelTimer: () => undefined };
      this.#followers.set(tokenId, followers);
      this.#awaitExpiry(tokenId, followers);
    }
    const mine = followers;
    mine.ended.add(ended);
    return () => {
      mine.ended.delete(ended);
      if (mine.ended.size > 0 || this.#followers.get(tokenId) !== mine) return;
      mine.cancelTimer();
      this.#followers.delete(tokenId);
    };
  }

  /**
   * Makes a token; it is returned once and kept nowhere. `createdBy` is the id of the token that asked.
   * Throws SluiceError BAD_ARGUMENT where nobody could make the next one, and beyond TOKENS_MAX; STORE_FAILED.
   */
  create({ tenant, role, note, lifetimeMs }: TokenTerms, createdBy: string): { token: string; info: TokenInfo } {
    if (role !== "admin" && !this.hasAdmin) {
      throw new SluiceError("BAD_ARGUMENT", "The first token is an admin's, or nobody could make the next one.");
    }
    this.#makeRoom();
    const { store, clock, randomBytes } = this.#options;
    const { id, token, hash } = createToken(randomBytes);
    const createdAt = clock.now();
    const times = { createdAt, expiresAt: createdAt + lifetimeMs, revokedAt: 0, usedAt: 0 };
    const stored: StoredToken = { id, hash, tenant, role, note, createdBy, ...times };
    const wasOpen = this.open;
    store.add(stored);
    this.#tokens.set(id, stored);
    if (wasOpen) this.#end("", noToken);
    return { token, info: infoOf(stored) };
  }

  /** Makes a token, named by its id or itself, worthless at once. Revoking one again succeeds. Throws SluiceError BAD_ARGUMENT. */
  revoke(idOrToken: string): TokenInfo {
    const id = tokenIdOf(idOrToken) ?? idOrToken;
    const token = this.#tokens.get(id);
    if (token === undefined) {
      throw new SluiceError("BAD_ARGUMENT", `There is no token [${id.replace(/[^\w-]/g, "?").slice(0, 64)}].`);
    }
    if (token.revokedAt > 0) return infoOf(token);
    const revoked = { ...token, revokedAt: this.#options.clock.now() };
    this.#options.store.revoke(id, revoked.revokedAt);
    this.#tokens.set(id, revoked);
    this.#end(id, this.#whyEnded(revoked)!);
    return infoOf(revoked);
  }

  /** The oldest first. */
  list(): TokenInfo[] {
    return [...this.#tokens.values()].map(infoOf);
  }

  /** Stops its timers. */
  close(): void {
    for (const { cancelTimer } of this.#followers.values()) cancelTimer();
    this.#followers.clear();
  }

  #whyEnded({ id, revokedAt, expiresAt }: StoredToken): SluiceError | undefined {
    if (revokedAt > 0) return new SluiceError("UNAUTHENTICATED", `The token [${id}] is revoked.`);
    if (expiresAt > this.#options.clock.now()) return undefined;
    return new SluiceError(
      "UNAUTHENTICATED",
      `The token [${id}] has expired at [${new Date(expiresAt).toISOString()}].`,
    );
  }

  #noteUse(token: StoredToken): void {
    const { clock, store } = this.#options;
    const now = clock.now();
    if (now - token.usedAt < USE_STEP_MS) return;
    this.#tokens.set(token.id, { ...token, usedAt: now });
    store.used(token.id, now);
  }

  #awaitExpiry(tokenId: string, followers: Followers): void {
    const { clock } = this.#options;
    const token = this.#tokens.get(tokenId);
    if (token === undefined) return;
    followers.cancelTimer = clock.schedule(token.expiresAt - clock.now(), () => {
      const ended = this.#whyEnded(this.#tokens.get(tokenId) ?? token);
      // A timer does not reach as far as some tokens.
      if (ended === undefined) this.#awaitExpiry(tokenId, followers);
      else this.#end(tokenId, ended);
    });
  }

  #end(tokenId: string, reason: SluiceError): void {
    const followers = this.#followers.get(tokenId);
    if (followers === undefined) return;
    this.#followers.delete(tokenId);
    followers.cancelTimer();
    for (const ended of followers.ended) ended(reason);
  }

  #makeRoom(): void {
    if (this.#tokens.size < TOKENS_MAX) return;
    for (const token of this.#tokens.values()) {
      if (this.#whyEnded(token) === undefined) continue;
      this.#options.store.drop(token.id);
      this.#tokens.delete(token.id);
      return;
    }
    throw new SluiceError("BAD_ARGUMENT", `There are [${this.#tokens.size}] tokens, and all of them are good.`);
  }
}

const infoOf = ({ hash: _, ...info }: StoredToken): TokenInfo => info;
