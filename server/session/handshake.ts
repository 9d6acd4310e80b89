/**
 * The handshake of one data connection, as in proto/README.md: GREETING, then a HELLO that proves the lease's secret. Refuses
 * everything else with a code. Runs in the daemon, which reads nothing behind HELLO but what came with it.
 */
import { randomBytes, timingSafeEqual } from "node:crypto";
import type { Socket } from "node:net";
import { SluiceError, toSluiceError } from "../../shared/errors.ts";
import {
  decodeHello,
  encodeGreeting,
  FINGERPRINT,
  FrameKind,
  type Hello,
  PROTOCOL_VERSION,
} from "../../shared/generated/calls.ts";
import { HANDSHAKE_FRAME_BYTES_MAX, HANDSHAKE_TIMEOUT_MS } from "../../shared/limits.ts";
import { type Frame, FrameReader, messageFrame } from "../../shared/wire/frame.ts";
import { protocolError } from "../../shared/wire/wire-buffer.ts";
import type { LeaseDirectory, SessionLease } from "./lease-directory.ts";
import { refuse } from "./refusal.ts";

const NONCE_BYTES = 32;
const SESSION_ID_BYTES = 16;

/** A connection that has proved its lease. */
export interface ProvenConnection {
  readonly socket: Socket;
  readonly lease: SessionLease;
  /** The server's own proof, for WELCOME. */
  readonly welcomeProof: Buffer;
  /** What the client says of its session. */
  readonly session: SessionClaim;
  /** What came behind HELLO. */
  readonly received: Uint8Array;
}

export interface SessionClaim {
  /** In base64. */
  readonly id: string;
  /** How long it wants the session to wait for it when its connection breaks; 0: not at all. */
  readonly resumeMs: number;
  /** Whether it had a WELCOME for it. */
  readonly begun: boolean;
  /** Counted frames that it received. */
  readonly clientReceived: number;
}

export interface HandshakeOptions {
  readonly leases: LeaseDirectory;
  readonly serverVersion: string;
  /** Default HANDSHAKE_TIMEOUT_MS. */
  readonly timeoutMs?: number;
}

/**
 * Stops reading from the kernel for good: what arrives from now on is left to the process that gets the socket. A paused
 * stream reads ahead, and what it reads would be lost; Node has no documented call that does not.
 */
function stopReading(socket: Socket): void {
  socket.pause();
  const { _handle: handle } = socket as { _handle?: { readStop?: () => number } };
  if (typeof handle?.readStop !== "function") throw new Error("This version of Node cannot stop a socket's reading.");
  handle.readStop();
}

/** Resolves with the proven connection, or undefined once the peer is refused or gone. */
export function shakeHands(socket: Socket, options: HandshakeOptions): Promise<ProvenConnection | undefined> {
  const nonce = randomBytes(NONCE_BYTES);
  const reader = new FrameReader({ frameBytesMax: HANDSHAKE_FRAME_BYTES_MAX, capacityBytes: 1024 });
  const timeoutMs = options.timeoutMs ?? HANDSHAKE_TIMEOUT_MS;
  return new Promise((resolve) => {
    const finish = (proven: ProvenConnection | undefined): void => {
      clearTimeout(timer);
      socket.removeAllListeners("data");
      socket.off("close", onClose);
      resolve(proven);
    };
    const fail = (error: SluiceError): void => {
      finish(undefined);
      refuse(socket, error);
    };
    const onClose = (): void => finish(undefined);
    const timer = setTimeout(
      () => fail(new SluiceError("HANDSHAKE_TIMEOUT", `No HELLO comes within [${timeoutMs}] ms.`)),
      timeoutMs,
    );
    socket.once("close", onClose);
    socket.on("data", (chunk: Buffer) => {
      try {
        reader.push(chunk);
        const frame = reader.next();
        if (frame === undefined) return;
        const hello = readHello(frame);
        const { lease, welcomeProof } = checkHello(hello, nonce, options.leases);
        const session = claimOf(hello);
        stopReading(socket);
        finish({ socket, lease, welcomeProof, session, received: reader.takeRest() });
      } catch (error) {
        fail(toSluiceError(error));
      }
    });
    const greeting = { protocolVersion: PROTOCOL_VERSION, fingerprint: FINGERPRINT, nonce };
    socket.write(
      messageFrame(FrameKind.GREETING, { ...greeting, serverVersion: options.serverVersion }, encodeGreeting),
    );
    socket.resume();
  });
}

function readHello(frame: Frame): Hello {
  if (frame.kind !== FrameKind.HELLO)
    throw protocolError(`A frame of the kind [${frame.kind}] comes instead of HELLO.`);
  return decodeHello(frame.buffer, frame.start, frame.end);
}

/** @throws SluiceError PROTOCOL_ERROR, FINGERPRINT_MISMATCH, LEASE_NOT_FOUND, why the lease ended, WRONG_SECRET */
function checkHello(
  hello: Hello,
  serverNonce: Uint8Array,
  leases: LeaseDirectory,
): { lease: SessionLease; welcomeProof: Buffer } {
  if (hello.protocolVersion !== PROTOCOL_VERSION || hello.fingerprint !== FINGERPRINT) {
    throw new SluiceError(
      "FINGERPRINT_MISMATCH",
      `The client [${printable(hello.clientVersion)}] speaks version [${hello.protocolVersion}] with table [${printable(hello.fingerprint)}], the server version [${PROTOCOL_VERSION}] with table [${FINGERPRINT}].`,
    );
  }
  const sizesFit = hello.nonce.byteLength === NONCE_BYTES && hello.sessionId.byteLength === SESSION_ID_BYTES;
  if (!sizesFit) throw protocolError("The nonce or the session id of a HELLO has a wrong size.");
  const lease = leases.find(hello.leaseId);
  const expected = lease.key.sign(Buffer.from("client"), serverNonce, hello.nonce, hello.sessionId);
  if (hello.proof.byteLength !== expected.byteLength || !timingSafeEqual(hello.proof, expected)) {
    throw new SluiceError("WRONG_SECRET", `The proof for the lease [${lease.id}] is wrong.`);
  }
  const welcomeProof = lease.key.sign(Buffer.from("server"), hello.nonce, serverNonce, hello.sessionId);
  return { lease, welcomeProof };
}

function claimOf({ sessionId, resumeMs, begun, received }: Hello): SessionClaim {
  if (begun > 1 || !Number.isSafeInteger(received))
    throw protocolError("The position of a HELLO's session is malformed.");
  return { id: Buffer.from(sessionId).toString("base64"), resumeMs, begun: begun === 1, clientReceived: received };
}

/** A peer's words go into sentences only without control characters, and not at any length. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, "?").slice(0, 64);
}
