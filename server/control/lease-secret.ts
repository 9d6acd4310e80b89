/** The secret of a lease: checked and used for proofs, never printed. It leaves this object only on its way to the client and to the store. */
import { createHash, createHmac, createSecretKey, type KeyObject, timingSafeEqual } from "node:crypto";
import type { LeaseKey } from "../session/lease-directory.ts";

export const SECRET_BYTES = 32;

export class LeaseSecret implements LeaseKey {
  readonly #key: KeyObject;

  /** `bytes` are SECRET_BYTES random bytes. */
  constructor(bytes: Buffer) {
    this.#key = createSecretKey(bytes);
  }

  sign(...parts: readonly Uint8Array[]): Buffer {
    const hmac = createHmac("sha256", this.#key);
    for (const part of parts) hmac.update(part);
    return hmac.digest();
  }

  reveal(): Buffer {
    return this.#key.export();
  }

  /** Whether `bytes` are the secret; takes the same time wherever they differ. */
  matches(bytes: Uint8Array): boolean {
    return bytes.byteLength === SECRET_BYTES && timingSafeEqual(bytes, this.#key.export());
  }
}

/** What the store keeps of the secret of a lease that has ended: enough to know it again. */
export const hashOfSecret = (secret: Uint8Array): Buffer => createHash("sha256").update(secret).digest();

export class SecretHash {
  readonly #hash: Uint8Array;

  /** An empty hash is of no secret. */
  constructor(hash: Uint8Array) {
    this.#hash = hash;
  }

  matches(bytes: Uint8Array): boolean {
    const hash = hashOfSecret(bytes);
    return this.#hash.byteLength === hash.byteLength && timingSafeEqual(hash, this.#hash);
  }
}
