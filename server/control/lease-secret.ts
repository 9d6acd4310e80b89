/** The secret of a lease: checked and used for proofs, never printed. It leaves this object only on its way to the client and to the store. */
import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from "node:crypto";
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
