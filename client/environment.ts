/** The variables through which a client learns its server, and through which `sluice run` tells a program which lease is its own. */
import { SluiceError } from "../shared/errors.ts";
import type { LeaseKey } from "./control.ts";
import { SECRET_BYTES } from "./handshake.ts";

export const SERVER_VARIABLE = "SLUICE_SERVER";
export const TOKEN_VARIABLE = "SLUICE_TOKEN";
/** Files: of the token, of the server's CA (or the word system), of the client's certificate and its key, of a bundle of all that. */
export const TOKEN_FILE_VARIABLE = "SLUICE_TOKEN_FILE";
export const CA_VARIABLE = "SLUICE_CA";
export const CERT_VARIABLE = "SLUICE_CERT";
export const KEY_VARIABLE = "SLUICE_KEY";
export const BUNDLE_VARIABLE = "SLUICE_BUNDLE";
export const LEASE_VARIABLE = "SLUICE_LEASE";
/** How long a program waits for a session while other processes have those of all its leases. */
export const SESSION_WAIT_VARIABLE = "SLUICE_SESSION_WAIT";

export const SERVER_DEFAULT = "localhost:7460";

/** `LEASEID:SECRET`, the secret in base64url; several with a space between them, any one of which will do. */
export const formatLeaseKeys = (keys: readonly LeaseKey[]): string =>
  keys.map(({ leaseId, secret }) => `${leaseId}:${Buffer.from(secret).toString("base64url")}`).join(" ");

/** At least one. @throws SluiceError BAD_ARGUMENT; the text itself has secrets and is not shown. */
export function parseLeaseKeys(text: string): readonly [LeaseKey, ...LeaseKey[]] {
  const [first, ...others] = text.trim().split(/ +/).map(parseLeaseKey);
  return [first!, ...others];
}

function parseLeaseKey(text: string): LeaseKey {
  const match = /^(.+):([A-Za-z0-9_-]+)$/.exec(text);
  const secret = Buffer.from(match?.[2] ?? "", "base64url");
  if (match === null || secret.byteLength !== SECRET_BYTES) {
    throw new SluiceError("BAD_ARGUMENT", `The variable ${LEASE_VARIABLE} is not like LEASEID:SECRET.`);
  }
  return { leaseId: match[1]!, secret };
}
