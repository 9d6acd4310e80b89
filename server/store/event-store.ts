/**
 * The audit log's rows: numbered, the newest EVENTS_MAX of them kept, and questions to them. Of callers who were let in nowhere it keeps
 * fewer, so that nobody can push the others out. Knows no requests.
 */
import type { Store } from "./store.ts";

/** A busy admin's years; some 50 MiB at most. */
const EVENTS_MAX = 100_000;
const REFUSALS_MAX = 10_000;

/** Events that wait at once for a full disk; beyond them the oldest is forgotten. */
const LATE_MAX = 1_000;

/** Rows beyond the bound are dropped so many at a time. */
const TRIM_EVERY = 100;

/** What is said of an action that a dead server had begun: it may or may not have been done. */
const INTERRUPTED = "INTERRUPTED";

export interface StoredEvent {
  /** Counted upwards over restarts. */
  readonly id: number;
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** Who: tenant and token; an empty tenant is the server itself, or somebody who showed no good token. */
  readonly tenant: string;
  readonly tokenId: string;
  /** From where: HOST:PORT; empty for the server itself. */
  readonly address: string;
  /** What, as the name of its RPC: `Cordon`. */
  readonly action: string;
  /** The request as JSON. */
  readonly details: string;
  /** `OK`, the code of the error that it ended with, empty while it is under way, or INTERRUPTED. */
  readonly outcome: string;
  /** The error's sentence. */
  readonly message: string;
}

export interface EventQuestion {
  /** Times in milliseconds since the epoch, `from` included, `to` not. */
  readonly from: number;
  readonly to: number;
  /** Empty for any. */
  readonly tenant: string;
  readonly action: string;
  /** Only events numbered below it; for the next page. */
  readonly before: number;
  readonly limit: number;
}

interface EventRow extends Omit<StoredEvent, "tokenId"> {
  readonly token_id: string;
}

const trim = "DELETE FROM events WHERE id <= (SELECT id FROM events ORDER BY id DESC LIMIT 1 OFFSET ?)";
const refusal = "outcome IN ('UNAUTHENTICATED', 'ADMIN_ONLY', 'READ_ONLY')";
const trimRefusals = `DELETE FROM events WHERE ${refusal} AND id <=
  (SELECT id FROM events WHERE ${refusal} ORDER BY id DESC LIMIT 1 OFFSET ?)`;
const insert = `INSERT OR REPLACE INTO events (id, at, tenant, token_id, address, action, details, outcome, message)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`;
const question = `SELECT id, at, tenant, token_id, address, action, details, outcome, message FROM events
  WHERE at >= ?1 AND at < ?2 AND id < ?3 AND (?4 = '' OR tenant = ?4) AND (?5 = '' OR action = ?5) ORDER BY id DESC LIMIT ?6`;

export class EventStore {
  readonly #store: Store;
  #lastId: number;

  readonly #bounds: { readonly events: number; readonly refusals: number };

  constructor(store: Store, bounds = { events: EVENTS_MAX, refusals: REFUSALS_MAX }) {
    this.#store = store;
    this.#bounds = bounds;
    this.#lastId = store.query<{ id: number | null }>("SELECT max(id) AS id FROM events")[0]?.id ?? 0;
  }

  /** Numbers an event and stores it; on disk when this returns. Throws SluiceError STORE_FAILED. */
  add(event: Omit<StoredEvent, "id">): number {
    const id = this.#lastId + 1;
    this.#store.write(insert, ...valuesOf({ ...event, id }));
    this.#lastId = id;
    if (id % TRIM_EVERY === 0) {
      this.#store.writeLater("old refusals", trimRefusals, this.#bounds.refusals);
      this.#store.writeLater("old events", trim, this.#bounds.events);
    }
    return id;
  }

  /** Numbers an event and stores it as soon as there is room for it. Never throws. */
  addLate(event: Omit<StoredEvent, "id">): number {
    this.#lastId++;
    this.finishLate({ ...event, id: this.#lastId });
    return this.#lastId;
  }

  /** How an event of `addLate` ended. Never throws. */
  finishLate(event: StoredEvent): void {
    this.#store.writeLater(`late event ${event.id % LATE_MAX}`, insert, ...valuesOf(event));
  }

  /** How an event ended. Never throws. */
  finish(id: number, outcome: string, message: string): void {
    const update = "UPDATE events SET outcome = ?, message = ? WHERE id = ?";
    this.#store.writeLater(`event ${id}`, update, outcome, message, id);
  }

  /** Events of a server that died before they ended. */
  closeInterrupted(): void {
    this.#store.writeLater("interrupted events", "UPDATE events SET outcome = ? WHERE outcome = ''", INTERRUPTED);
  }

  /** The newest first. */
  list({ from, to, tenant, action, before, limit }: EventQuestion): StoredEvent[] {
    const rows = this.#store.query<EventRow>(question, from, to, before, tenant, action, limit);
    return rows.map((row) => ({
      id: row.id,
      at: row.at,
      tenant: row.tenant,
      tokenId: row.token_id,
      address: row.address,
      action: row.action,
      details: row.details,
      outcome: row.outcome,
      message: row.message,
    }));
  }
}

const valuesOf = ({ id, at, tenant, tokenId, address, action, details, outcome, message }: StoredEvent) =>
  [id, at, tenant, tokenId, address, action, details, outcome, message] as const;
