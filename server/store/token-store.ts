/** The tokens that there are, without the tokens: of each the hash, whose it is, and when it ends. Reads and writes; decides nothing. */
import type { Store } from "./store.ts";

export interface StoredToken {
  /** Names it in listings; no secret. */
  readonly id: string;
  /** SHA-256 of the whole token. */
  readonly hash: Uint8Array;
  readonly tenant: string;
  readonly role: "tenant" | "monitor" | "admin";
  /** What it is for, in an admin's words. */
  readonly note: string;
  /** Times are milliseconds since the epoch. */
  readonly createdAt: number;
  /** Id of the token whose owner made it; empty for one that the server made or that was made without a token. */
  readonly createdBy: string;
  readonly expiresAt: number;
  /** 0 where it is not revoked. */
  readonly revokedAt: number;
  /** 0 where it was never used; to the minute. */
  readonly usedAt: number;
}

interface TokenRow {
  readonly id: string;
  readonly hash: Uint8Array | ArrayBuffer;
  readonly tenant: string;
  readonly role: StoredToken["role"];
  readonly note: string;
  readonly created_at: number;
  readonly created_by: string;
  readonly expires_at: number;
  readonly revoked_at: number | null;
  readonly used_at: number | null;
}

const insert = `INSERT INTO tokens (id, hash, tenant, role, note, created_at, created_by, expires_at)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?)`;

export class TokenStore {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  /** On disk when it returns. Throws SluiceError STORE_FAILED. */
  add({ id, hash, tenant, role, note, createdAt, createdBy, expiresAt }: StoredToken): void {
    this.#store.write(insert, id, Buffer.from(hash), tenant, role, note, createdAt, createdBy, expiresAt);
  }

  /** On disk when it returns, unless the disk is full: then as soon as it has room. Never throws. */
  revoke(id: string, at: number): void {
    const sql = "UPDATE tokens SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL";
    this.#store.writeSurely(`end of token ${id}`, sql, at, id);
  }

  /** On disk when it returns. Throws SluiceError STORE_FAILED. */
  drop(id: string): void {
    this.#store.write("DELETE FROM tokens WHERE id = ?", id);
  }

  /** Never throws. */
  used(id: string, at: number): void {
    this.#store.writeLater(`token ${id}`, "UPDATE tokens SET used_at = ? WHERE id = ?", at, id);
  }

  /** The oldest first. */
  all(): StoredToken[] {
    return this.#store.query<TokenRow>("SELECT * FROM tokens ORDER BY created_at, id").map((row) => ({
      id: row.id,
      hash: new Uint8Array(row.hash),
      tenant: row.tenant,
      role: row.role,
      note: row.note,
      createdAt: row.created_at,
      createdBy: row.created_by,
      expiresAt: row.expires_at,
      revokedAt: row.revoked_at ?? 0,
      usedAt: row.used_at ?? 0,
    }));
  }
}
