/**
 * What must not be forgotten: leases, waiting requests, and the ledger of use, in SQLite under --state. A grant is on disk when
 * `saveLease` returns. Everything else is written together at the end of the event loop's turn, and kept for the next try when
 * the disk is full: a full disk costs new grants and nothing else.
 */
import type Database from "libsql";
import { type ErrorCode, isErrorCode, SluiceError } from "../../shared/errors.ts";
import type { GrantTerms, StoredEnd, StoredSuspension } from "../control/lease-store.ts";
import type { Lease, PoolRequest, Slice, StoredLease } from "../pool/types.ts";
import { openDatabase } from "./schema.ts";

/** How soon what could not be written is tried again. */
const RETRY_MS = 1000;

/** What a lease has used. Sums since its grant. */
export interface StoredUsage {
  readonly calls: number;
  readonly batches: number;
  readonly answers: number;
  readonly bytesReceived: number;
  readonly bytesSent: number;
  readonly deviceMs: number;
}

/** A lease that never ended, by the database. */
export interface OpenLease {
  readonly lease: StoredLease;
  readonly secret: Uint8Array | undefined;
  /** The client's own id of the request. */
  readonly requestId: string;
  readonly usage: StoredUsage;
}

/** A request that was not decided yet, by the database. */
export interface OpenRequest {
  readonly request: PoolRequest;
  readonly requestId: string;
}

/** How a lease ended. */
export interface LeaseEnd {
  readonly code: string;
  readonly message: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

interface LeaseRow {
  readonly id: string;
  readonly tenant: string;
  readonly name: string;
  readonly detached: number;
  readonly secret: Uint8Array | ArrayBuffer | null;
  readonly requested_at: number;
  readonly granted_at: number;
  readonly ends_at: number | null;
  readonly reservation: string | null;
  readonly suspension: string | null;
  readonly token_id: string | null;
  readonly ends_with: string | null;
  readonly request_id: string;
  readonly priority: number;
  readonly idle_ms: number | null;
  readonly calls: number;
  readonly batches: number;
  readonly answers: number;
  readonly bytes_received: number;
  readonly bytes_sent: number;
  readonly device_ms: number;
}

interface EndRow extends LeaseRow {
  readonly ended_at: number;
  readonly end_code: string | null;
  readonly end_message: string | null;
  readonly secret_hash: Uint8Array | ArrayBuffer | null;
}

interface SliceRow {
  readonly lease_id: string;
  readonly slice_index: number;
  readonly device_id: string;
  readonly bytes: number;
  readonly overhead_bytes: number;
  readonly compute: number;
}

const insertLease = `INSERT INTO leases (id, tenant, name, detached, secret, requested_at, granted_at, ends_at, request_id,
  priority, idle_ms, reservation, secret_hash, token_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`;
const insertSlice =
  "INSERT INTO slices (lease_id, slice_index, device_id, bytes, overhead_bytes, compute) VALUES (?, ?, ?, ?, ?, ?)";
const insertPastSize = `INSERT INTO past_sizes (lease_id, slice_index, until_at, bytes)
  SELECT lease_id, slice_index, ?1, bytes FROM slices WHERE lease_id = ?2 AND slice_index = ?3 AND bytes <> ?4`;
/** Before the lease is parked or no longer so: what its slices had until then. */
const insertPastHold = `INSERT INTO past_sizes (lease_id, slice_index, until_at, bytes)
  SELECT lease_id, slice_index, ?1, iif(is_parked, kept_bytes, bytes) FROM slices JOIN leases ON leases.id = lease_id
  WHERE lease_id = ?2 AND is_parked <> ?3 AND ended_at IS NULL`;
const updateSuspension = "UPDATE leases SET suspension = ?, is_parked = ? WHERE id = ? AND ended_at IS NULL";
const updateKept = "UPDATE slices SET kept_bytes = ? WHERE lease_id = ? AND slice_index = ?";
const updateUsage = `UPDATE leases SET calls = ?, batches = ?, answers = ?, bytes_received = ?, bytes_sent = ?, device_ms = ?
  WHERE id = ?`;
const updateEnd = `UPDATE leases SET ended_at = ?, end_code = ?, end_message = ?, secret = NULL
  WHERE id = ? AND ended_at IS NULL`;
/** One that is known keeps its place. */
const insertRequest = `INSERT INTO requests (id, request_id, request) VALUES (?, ?, ?)
  ON CONFLICT (id) DO UPDATE SET request = excluded.request`;

const usageValues = (id: string, usage: StoredUsage): (string | number)[] => [
  usage.calls,
  usage.batches,
  usage.answers,
  usage.bytesReceived,
  usage.bytesSent,
  usage.deviceMs,
  id,
];

/** A write that waits for the end of the turn. */
type Write = readonly [sql: string, ...values: (string | number | null)[]];

export class Store {
  readonly #database: Database.Database;
  readonly #path: string;
  readonly #onError: (error: SluiceError) => void;
  readonly #statements = new Map<string, Database.Statement>();
  /** By what they are about: one word about each, so that a full disk cannot make this grow without bound. */
  readonly #pending = new Map<string, Write>();
  #isWritable = true;
  #onWritable: (isWritable: boolean) => void = () => undefined;
  #turn: NodeJS.Immediate | undefined;
  #retry: NodeJS.Timeout | undefined;
  #isClosed = false;

  /**
   * Opens the state in `folder`, or in memory for `:memory:`. `onError` hears of late writes that failed and will be tried again.
   * Throws SluiceError STORE_UNREADABLE or STORE_FAILED.
   */
  constructor(folder: string, onError: (error: SluiceError) => void) {
    const { database, path } = openDatabase(folder);
    this.#database = database;
    this.#path = path;
    this.#onError = onError;
  }

  /** `listener` hears when a write fails behind one that did not, and the other way round; there is one. Something is written every few seconds. */
  watch(listener: (isWritable: boolean) => void): void {
    this.#onWritable = listener;
  }

  #noteWritable(isWritable: boolean): void {
    if (this.#isWritable === isWritable) return;
    this.#isWritable = isWritable;
    this.#onWritable(isWritable);
  }

  /** Stores all that `work` saves, or nothing; on disk when this returns. Throws SluiceError STORE_FAILED. */
  atomically(work: () => void): void {
    this.#transaction(work);
  }

  /** Stores a grant, on disk when this returns. Throws SluiceError STORE_FAILED, and then nothing of it is stored. */
  saveLease(lease: StoredLease, { secret, secretHash, requestId = "" }: Partial<GrantTerms> = {}): void {
    this.#transaction(() => {
      const { id, tenant, name, detached, requestedAt, grantedAt, endsAt = null, priority = 0, idleMs = null } = lease;
      const bytesOf = (bytes: Uint8Array | undefined): Buffer | null =>
        bytes === undefined ? null : Buffer.from(bytes);
      const start = [id, tenant, name, detached ? 1 : 0, bytesOf(secret), requestedAt, grantedAt, endsAt];
      const { reservation = null, tokenId = null } = lease;
      this.#run(insertLease, ...start, requestId, priority, idleMs, reservation, bytesOf(secretHash), tokenId);
      for (const { index, deviceId, bytes, overheadBytes, compute = 0 } of lease.slices) {
        this.#run(insertSlice, id, index, deviceId, bytes, overheadBytes, compute);
      }
      this.#run("DELETE FROM requests WHERE id = ?", id);
    });
    this.#pending.delete(`request ${lease.id}`);
  }

  /**
   * Closes the record of a lease that is gone: on disk when this returns, or what was released would be held again after a restart. Never
   * throws; on a full disk it is tried again. One that is closed stays as it is.
   */
  closeLease(lease: Lease, usage: StoredUsage & { readonly heldMs: number }): void {
    this.saveUsage(lease.id, usage);
    const at = lease.grantedAt + usage.heldMs;
    this.endLease(lease.id, { code: lease.endCode ?? "RELEASED", message: lease.endMessage ?? "", at });
    this.flush();
  }

  /** How a lease ended; undefined for one that has not, or is not known. */
  endedLease(id: string): StoredEnd | undefined {
    const [row] = this.#all<EndRow>("SELECT * FROM leases WHERE id = ? AND ended_at IS NOT NULL", id);
    if (row === undefined) return undefined;
    return {
      tenant: row.tenant,
      code: isErrorCode(row.end_code ?? "") ? (row.end_code as ErrorCode) : "RELEASED",
      message: row.end_message ?? "The lease has ended.",
      usage: { ...usageOf(row), heldMs: row.ended_at - row.granted_at },
      secretHash: new Uint8Array(row.secret_hash ?? []),
    };
  }

  /** Closes the record of a lease, such as one found open after a restart. */
  endLease(id: string, end: LeaseEnd): void {
    if (this.#pending.has(`end ${id}`)) return;
    this.#later(`end ${id}`, [updateEnd, end.at, end.code, end.message, id]);
  }

  /**
   * Notes that a slice has another size from `at` on; the ledger keeps what it had before. On disk when this returns. Throws SluiceError
   * STORE_FAILED.
   */
  saveSize(id: string, slice: Slice, at: number): void {
    this.#transaction(() => {
      this.#run(insertPastSize, at, id, slice.index, slice.bytes);
      this.#run("UPDATE slices SET bytes = ? WHERE lease_id = ? AND slice_index = ?", slice.bytes, id, slice.index);
    });
  }

  /**
   * Notes how far a lease's suspension has come at `at`, or that there is none any more; the ledger charges what it keeps while it is suspended. On disk
   * when this returns. Throws SluiceError STORE_FAILED.
   */
  saveSuspension(id: string, suspension: StoredSuspension | undefined, at: number): void {
    const isParked = suspension?.state === "suspended" ? 1 : 0;
    this.#transaction(() => {
      this.#run(insertPastHold, at, id, isParked);
      this.#run(updateSuspension, suspension === undefined ? null : JSON.stringify(suspension), isParked, id);
      for (const [index, bytes] of (suspension?.keptBytes ?? []).entries()) this.#run(updateKept, bytes, id, index);
    });
  }

  /** Notes that a lease ends at another time than it was to, and why. */
  saveEnd({ id, endsAt, endsWith }: Pick<StoredLease, "id" | "endsAt" | "endsWith">): void {
    const why = endsWith === undefined ? null : JSON.stringify(endsWith);
    this.#later(`ends ${id}`, ["UPDATE leases SET ends_at = ?, ends_with = ? WHERE id = ?", endsAt ?? null, why, id]);
  }

  /** Notes what a lease has used so far, so that a crash does not lose it. */
  saveUsage(id: string, usage: StoredUsage): void {
    this.#later(`usage ${id}`, [updateUsage, ...usageValues(id, usage)]);
  }

  /**
   * Keeps a waiting request over a restart, in its place behind those that came before it: on disk when this returns, unless the disk is
   * full; then it is tried again, and the request waits all the same.
   */
  saveRequest(request: PoolRequest, requestId: string): void {
    this.writeSurely(`request ${request.id}`, insertRequest, request.id, requestId, JSON.stringify(request));
  }

  /** Forgets a request that was refused or withdrawn; one that is granted is forgotten by `saveLease`. */
  dropRequest(id: string): void {
    this.#later(`request ${id}`, ["DELETE FROM requests WHERE id = ?", id]);
  }

  /** Waiting requests of the last run, in the order in which they came. */
  openRequests(): OpenRequest[] {
    const rows = this.#all<{ request: string; request_id: string }>("SELECT * FROM requests ORDER BY place");
    return rows.map((row) => ({ request: JSON.parse(row.request) as PoolRequest, requestId: row.request_id }));
  }

  /** Leases that were granted and never ended, the oldest first. */
  openLeases(): OpenLease[] {
    const slices = new Map<string, Slice[]>();
    const open = "SELECT id FROM leases WHERE ended_at IS NULL";
    for (const row of this.#all<SliceRow>(`SELECT * FROM slices WHERE lease_id IN (${open}) ORDER BY slice_index`)) {
      const slice = {
        index: row.slice_index,
        deviceId: row.device_id,
        bytes: row.bytes,
        overheadBytes: row.overhead_bytes,
        ...(row.compute === 0 ? {} : { compute: row.compute }),
      };
      slices.set(row.lease_id, [...(slices.get(row.lease_id) ?? []), slice]);
    }
    const rows = this.#all<LeaseRow>("SELECT * FROM leases WHERE ended_at IS NULL ORDER BY granted_at, id");
    return rows.map((row) => viewOpenLease(row, slices.get(row.id) ?? []));
  }

  /** Writes now: on disk when this returns. Throws SluiceError STORE_FAILED. */
  write(sql: string, ...values: (string | number | Buffer)[]): void {
    this.#transaction(() => this.#run(sql, ...values));
  }

  /**
   * Writes now: on disk when this returns, unless the disk is full; then it is tried again until it is there, and `onError` hears. What is
   * said later about the same takes its place. Never throws.
   */
  writeSurely(about: string, sql: string, ...values: readonly (string | number)[]): void {
    this.#later(about, [sql, ...values]);
    this.flush();
  }

  /** Writes at the end of the turn, and tries again when that fails. What is said later about the same takes its place. Never throws. */
  writeLater(about: string, sql: string, ...values: (string | number)[]): void {
    this.#later(about, [sql, ...values]);
  }

  /** Rows of a question to the database; late writes are seen too. */
  query<Row>(sql: string, ...values: (string | number)[]): Row[] {
    this.flush();
    return this.#all<Row>(sql, ...values);
  }

  /** Writes now what waits for the end of the turn; false when it could not be written and stays waiting. */
  flush(): boolean {
    clearImmediate(this.#turn);
    this.#turn = undefined;
    if (this.#pending.size === 0) return true;
    // The next server finds out what came too late for this one.
    if (this.#isClosed) return false;
    try {
      this.#transaction(() => {
        for (const [sql, ...values] of this.#pending.values()) this.#run(sql, ...values);
      });
      this.#pending.clear();
      return true;
    } catch (error) {
      this.#onError(error as SluiceError);
      this.#retry ??= setTimeout(() => this.#tryAgain(), RETRY_MS).unref();
      return false;
    }
  }

  #tryAgain(): void {
    this.#retry = undefined;
    this.flush();
  }

  /** Writes what waits and closes the database. Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.flush();
    clearTimeout(this.#retry);
    this.#isClosed = true;
    this.#database.close();
  }

  #later(about: string, write: Write): void {
    this.#pending.set(about, write);
    this.#turn ??= setImmediate(() => this.flush());
  }

  #statement(sql: string): Database.Statement {
    this.#mustBeOpen();
    let found = this.#statements.get(sql);
    if (found === undefined) {
      found = this.#database.prepare(sql);
      this.#statements.set(sql, found);
    }
    return found;
  }

  #run(sql: string, ...values: (string | number | null | Buffer)[]): void {
    this.#statement(sql).run(...values);
  }

  #all<Row>(sql: string, ...values: (string | number)[]): Row[] {
    return this.#statement(sql).all(...values) as Row[];
  }

  /** The library ends the whole process when it is asked for a database that is closed. */
  #mustBeOpen(): void {
    if (this.#isClosed)
      throw new SluiceError("STORE_FAILED", `The state in [${this.#path}] is closed: the server stops.`);
  }

  #transaction(write: () => void): void {
    this.#mustBeOpen();
    if (this.#database.inTransaction) {
      write();
      return;
    }
    try {
      this.#database.exec("BEGIN IMMEDIATE");
      write();
      this.#database.exec("COMMIT");
      this.#noteWritable(true);
    } catch (error) {
      // A full disk has rolled back by itself already.
      if (this.#database.inTransaction) this.#database.exec("ROLLBACK");
      this.#noteWritable(false);
      const why = error instanceof Error ? error.message : String(error);
      throw new SluiceError("STORE_FAILED", `The state in [${this.#path}] cannot be written [${why}].`, {
        cause: error,
      });
    }
  }
}

function viewOpenLease(row: LeaseRow, slices: readonly Slice[]): OpenLease {
  return {
    lease: {
      ...suspensionOf(row),
      id: row.id,
      tenant: row.tenant,
      name: row.name,
      slices,
      detached: row.detached === 1,
      requestedAt: row.requested_at,
      grantedAt: row.granted_at,
      ...(row.ends_at === null ? {} : { endsAt: row.ends_at }),
      ...(row.ends_with === null
        ? {}
        : { endsWith: JSON.parse(row.ends_with) as NonNullable<StoredLease["endsWith"]> }),
      ...(row.reservation === null ? {} : { reservation: row.reservation }),
      ...(row.token_id === null ? {} : { tokenId: row.token_id }),
      ...(row.priority === 0 ? {} : { priority: row.priority }),
      ...(row.idle_ms === null ? {} : { idleMs: row.idle_ms }),
    },
    requestId: row.request_id,
    secret: row.secret === null ? undefined : new Uint8Array(row.secret),
    usage: usageOf(row),
  };
}

function suspensionOf({ suspension }: LeaseRow): Pick<StoredLease, "suspension" | "suspensionState"> {
  if (suspension === null) return {};
  const { state, ...known } = JSON.parse(suspension) as StoredSuspension;
  return { suspension: known, suspensionState: state };
}

const usageOf = (row: LeaseRow): StoredUsage => ({
  calls: row.calls,
  batches: row.batches,
  answers: row.answers,
  bytesReceived: row.bytes_received,
  bytesSent: row.bytes_sent,
  deviceMs: row.device_ms,
});
