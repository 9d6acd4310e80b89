/**
 * Who calls: the tenant and role behind a request, and the gate that tells them from a token or, while a server has no tokens, from
 * the caller's address. Every port asks the same gate. It holds no token and no secret.
 */
import { SluiceError } from "../../shared/errors.ts";

/** A monitor reads what an admin reads, and changes, takes and holds nothing. */
export type Role = "tenant" | "monitor" | "admin";

/** Whoever calls over loopback while there are no tokens, and everyone else then, is this tenant. */
const LOCAL_TENANT = "local";

export interface Identity {
  /** Who is charged. */
  readonly tenant: string;
  /** An admin may do all that a tenant may, for every tenant, and the admin's calls. */
  readonly role: Role;
  /** Id of the token, which is no secret; empty for a caller without one on an open server. */
  readonly tokenId: string;
}

export interface Gate {
  /** Whether no token is asked for: callers over loopback are then admins, others are tenants. */
  readonly open: boolean;
  /**
   * Who a caller is. `bearer` is the token it shows, without the word Bearer; `peerAddress` is HOST:PORT or HOST.
   * Throws SluiceError UNAUTHENTICATED.
   */
  identify(bearer: string | undefined, peerAddress: string): Identity;
  /**
   * Calls `ended` once, with UNAUTHENTICATED, when the identity is no longer good: its token is revoked or expires, or an open server
   * begins to ask for tokens. For streams and sessions that outlive the request. Returns what stops it.
   */
  follow(identity: Identity, ended: (reason: SluiceError) => void): () => void;
}

/** Throws SluiceError ADMIN_ONLY for anyone else. */
export function requireAdmin(identity: Identity): void {
  if (identity.role === "admin") return;
  throw new SluiceError("ADMIN_ONLY", `The caller is the ${identity.role} [${identity.tenant}] and no admin.`);
}

/** Whether the caller sees what all tenants have and do. */
export const seesAll = ({ role }: Identity): boolean => role !== "tenant";

/** Throws SluiceError ADMIN_ONLY for who sees its own alone. */
export function requireReader(identity: Identity): void {
  if (seesAll(identity)) return;
  throw new SluiceError("ADMIN_ONLY", `The caller is the tenant [${identity.tenant}] and neither admin nor monitor.`);
}

/** Throws SluiceError READ_ONLY for a monitor. */
export function requireNoMonitor({ role, tenant }: Identity): void {
  if (role !== "monitor") return;
  throw new SluiceError("READ_ONLY", `The token of [${tenant}] is a monitor's, which reads and changes nothing.`);
}

/** The host of an address such as gRPC's name of a caller, without port and brackets. */
export const hostOf = (peerAddress: string): string => {
  const bracketed = /^\[(.*)\](?::\d+)?$/.exec(peerAddress)?.[1];
  return bracketed ?? peerAddress.replace(/:\d+$/, "");
};

/** Whether the address, HOST:PORT or HOST, is of this machine. */
export function isLoopbackPeer(peerAddress: string): boolean {
  if (peerAddress === "::1") return true;
  const host = hostOf(peerAddress);
  return /^(::ffff:)?127\.\d+\.\d+\.\d+$/.test(host) || host === "::1";
}

/** The gate of a server that asks for no tokens. */
export class OpenGate implements Gate {
  readonly open = true;

  identify(_bearer: string | undefined, peerAddress: string): Identity {
    return { tenant: LOCAL_TENANT, role: isLoopbackPeer(peerAddress) ? "admin" : "tenant", tokenId: "" };
  }

  follow(): () => void {
    return () => undefined;
  }
}
