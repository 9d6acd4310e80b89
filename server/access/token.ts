/**
 * What a token is: `sluice_ID_SECRET`, the id for looking it up and for listings, the secret 32 random bytes in base64url. The server
 * keeps its SHA-256 alone, which is enough for a secret that nobody can guess: there is nothing for a slower hash to protect.
 */
import { createHash, timingSafeEqual } from "node:crypto";

const ID_BYTES = 6;
const SECRET_BYTES = 32;
const FORM = /^sluice_([0-9a-f]{12})_[A-Za-z0-9_-]{43}$/;

export interface NewToken {
  readonly id: string;
  /** Shown once and kept nowhere. */
  readonly token: string;
  readonly hash: Uint8Array;
}

export function createToken(randomBytes: (byteCount: number) => Buffer): NewToken {
  const id = randomBytes(ID_BYTES).toString("hex");
  const token = `sluice_${id}_${randomBytes(SECRET_BYTES).toString("base64url")}`;
  return { id, token, hash: hashOf(token) };
}

/** The id within a token; undefined for what is no token. */
export const tokenIdOf = (token: string): string | undefined => FORM.exec(token)?.[1];

/** A text in which somebody may have pasted a token, with its id alone. */
export const withoutTokens = (text: string): string =>
  text.replace(/sluice_([0-9a-f]{12})_[A-Za-z0-9_-]{20,}/g, "sluice_$1_...");

/** Whether the hash is that of the token; takes the same time wherever they differ. */
export const matchesToken = (token: string, hash: Uint8Array): boolean => {
  const own = hashOf(token);
  return own.byteLength === hash.byteLength && timingSafeEqual(own, hash);
};

const hashOf = (token: string): Uint8Array => createHash("sha256").update(token).digest();
