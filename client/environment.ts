/** The variables through which `sluice run` tells a program which lease is its own. */
import { SluiceError } from "../shared/errors.ts";
import type { LeaseKey } from "./control.ts";
import { SECRET_BYTES } from "./handshake.ts";

export const SERVER_VARIABLE = "SLUICE_SERVER";
export const TOKEN_VARIABLE = "SLUICE_TOKEN";
export const LEASE_VARIABLE = "SLUICE_LEASE";

export const SERVER_DEFAULT = "localhost:7460";

/** `LEASEID:SECRET`, the secret in base64url. */
export const formatLeaseKey = (key: LeaseKey): string =>
  `${key.leaseId}:${Buffer.from(key.secret).toString("base64url")}`;

/** @throws SluiceError BAD_ARGUMENT; the text itself is a secret and is not shown. */
export function parseLeaseKey(text: string): LeaseKey {
  const match = /^(.+):([A-Za-z0-9_-]+)$/.exec(text);
  const secret = Buffer.from(match?.[2] ?? "", "base64url");
  if (match === null || secret.byteLength !== SECRET_BYTES) {
    throw new SluiceError("BAD_ARGUMENT", `The variable ${LEASE_VARIABLE} is not like LEASEID:SECRET.`);
  }
  return { leaseId: match[1]!, secret };
}
