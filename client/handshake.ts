/** The client's part of the handshake (proto/README.md, "The handshake"): what HELLO says, and whether WELCOME is to be believed. */
import { createHmac, timingSafeEqual } from "node:crypto";
import { SluiceError } from "../shared/errors.ts";
import {
  encodeHello,
  FINGERPRINT,
  FrameKind,
  type Greeting,
  PROTOCOL_VERSION,
  type Welcome,
} from "../shared/generated/calls.ts";
import { messageFrame } from "../shared/wire/frame.ts";
import { CLIENT_VERSION } from "./version.ts";

export const SECRET_BYTES = 32;
export const SESSION_ID_BYTES = 16;
export const NONCE_BYTES = 32;

export interface Credentials {
  readonly leaseId: string;
  readonly secret: Uint8Array;
  readonly sessionId: Uint8Array;
  /** The client's nonce. */
  readonly nonce: Uint8Array;
}

/** Where a session stands, for the server to go on there. */
export interface SessionPosition {
  /** How long the session is to wait for its client when its connection breaks; 0: it ends with it. */
  readonly resumeMs: number;
  /** Whether there has been a WELCOME for it. */
  readonly begun: boolean;
  /** Counted frames received. */
  readonly received: number;
}

function proofOf(secret: Uint8Array, ...parts: readonly (string | Uint8Array)[]): Buffer {
  const hmac = createHmac("sha256", secret);
  for (const part of parts) hmac.update(part);
  return hmac.digest();
}

/** @throws SluiceError FINGERPRINT_MISMATCH when the ends do not have the same table of calls, PROTOCOL_ERROR for a bad nonce. */
export function checkGreeting(greeting: Greeting): void {
  if (greeting.protocolVersion !== PROTOCOL_VERSION || greeting.fingerprint !== FINGERPRINT) {
    throw new SluiceError(
      "FINGERPRINT_MISMATCH",
      `The server [${greeting.serverVersion}] speaks protocol [${greeting.protocolVersion}] with the table of calls [${greeting.fingerprint}], ` +
        `and this client [${CLIENT_VERSION}] speaks [${PROTOCOL_VERSION}] with [${FINGERPRINT}].`,
    );
  }
  if (greeting.nonce.byteLength !== NONCE_BYTES) {
    throw new SluiceError("PROTOCOL_ERROR", `The server's nonce has [${greeting.nonce.byteLength}] bytes.`);
  }
}

/** The HELLO frame that answers a greeting. */
export function helloFrame(greeting: Greeting, credentials: Credentials, position: SessionPosition): Uint8Array {
  const { leaseId, secret, sessionId, nonce } = credentials;
  const hello = {
    protocolVersion: PROTOCOL_VERSION,
    fingerprint: FINGERPRINT,
    clientVersion: CLIENT_VERSION,
    leaseId,
    sessionId,
    nonce,
    proof: proofOf(secret, "client", greeting.nonce, nonce, sessionId),
    resumeMs: position.resumeMs,
    begun: position.begun ? 1 : 0,
    received: position.received,
  };
  return messageFrame(FrameKind.HELLO, hello, encodeHello);
}

/** @throws SluiceError SERVER_IDENTITY when the peer does not have the lease's secret. */
export function checkWelcome(welcome: Welcome, serverNonce: Uint8Array, credentials: Credentials): void {
  const { secret, sessionId, nonce, leaseId } = credentials;
  const expected = proofOf(secret, "server", nonce, serverNonce, sessionId);
  if (welcome.proof.byteLength !== expected.byteLength || !timingSafeEqual(welcome.proof, expected)) {
    throw new SluiceError(
      "SERVER_IDENTITY",
      `The peer on the data port does not prove that it knows the secret of the lease [${leaseId}].`,
    );
  }
}
