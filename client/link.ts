/**
 * One connection of a session: it finds the first endpoint behind which the lease's server is, shakes hands, and cuts what comes into
 * frames. A session whose link breaks goes on over another. It knows the frames of the handshake (proto/README.md) and no calls.
 */
import { randomBytes } from "node:crypto";
import { codeOfWire, type ErrorCode, SluiceError, toSluiceError } from "../shared/errors.ts";
import { decodeGreeting, decodeRefusal, decodeWelcome, FrameKind, type Welcome } from "../shared/generated/calls.ts";
import { HANDSHAKE_TIMEOUT_MS } from "../shared/limits.ts";
import { type BegunFrame, type Frame, FrameReader } from "../shared/wire/frame.ts";
import { protocolError } from "../shared/wire/wire-buffer.ts";
import { cancelled, orAborted } from "./abort.ts";
import {
  type Credentials,
  checkGreeting,
  checkWelcome,
  helloFrame,
  NONCE_BYTES,
  type SessionPosition,
} from "./handshake.ts";
import { PLACED_BYTES_MIN, PLACED_HEAD_BYTES } from "./placed-answer.ts";
import { endpointsOf, openTransport, transportKinds, withHost } from "./transport/open.ts";
import type { ServerLink, Transport } from "./transport/transport.ts";

/** What a session and its links tell each other. */
export interface LinkHandlers {
  /** A server is there: where does the session stand? What an earlier link still brings counts no more. */
  onGreeting(): SessionPosition;
  /** HELLO is sent; what may follow it at once is sent now. */
  onHello(link: Link): void;
  /** The server has proved itself. */
  onWelcome(link: Link, welcome: Welcome): void;
  /** A frame behind WELCOME. What it throws ends the link with that error. */
  onFrame(frame: Frame): void;
  /** Where the data of a frame that has begun may be read to, behind its first PLACED_HEAD_BYTES; undefined: as any frame. */
  placeFor(frame: BegunFrame): Uint8Array | undefined;
  /** The link that was opened is over: by the server's word, by a fault of what it sent, or because the connection broke. */
  onLost(link: Link, loss: Loss): void;
}

export interface Loss {
  /** What the server said last, or what was wrong with what it said: there is no point in another link. */
  readonly error: SluiceError | undefined;
  /** How the system says that the connection broke; undefined when the peer closed it. */
  readonly cause: Error | undefined;
}

export interface LinkOptions {
  readonly endpoints: readonly string[];
  /** Host of the gRPC server, for endpoints that name none. */
  readonly host: string;
  readonly server?: ServerLink | undefined;
  readonly leaseId: string;
  readonly secret: Uint8Array;
  readonly sessionId: Uint8Array;
  readonly handlers: LinkHandlers;
  /** For each endpoint. Default HANDSHAKE_TIMEOUT_MS. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
}

/** Of all reasons why no endpoint serves, those that say least. */
const weak: ReadonlySet<ErrorCode> = new Set(["SERVER_UNREACHABLE", "CONNECTION_LOST", "HANDSHAKE_TIMEOUT"]);

export class Link {
  transport!: Transport;
  readonly #options: LinkOptions;
  readonly #credentials: Credentials;
  readonly #reader = new FrameReader({ placesAreLent: true });
  #serverNonce: Uint8Array | undefined;
  #isOpen = false;
  #isOver = false;
  #refusal: SluiceError | undefined;
  #settle: { readonly resolve: () => void; readonly reject: (error: SluiceError) => void } | undefined;

  private constructor(options: LinkOptions) {
    const { leaseId, secret, sessionId } = options;
    this.#options = options;
    this.#credentials = { leaseId, secret, sessionId, nonce: randomBytes(NONCE_BYTES) };
  }

  /**
   * Opens the first endpoint whose server proves itself. An endpoint may lead to a wrong server (the path of a socket exists on many
   * hosts), so a refusal passes on to the next too.
   * @throws SluiceError the most telling reason, or CANCELLED.
   */
  static async open(options: LinkOptions): Promise<Link> {
    const known = endpointsOf(options.endpoints).filter((each) => options.server !== undefined || each !== "grpc://");
    let failure: SluiceError | undefined;
    for (const endpoint of known) {
      try {
        return await Link.#openOne(options, withHost(endpoint, options.host));
      } catch (error) {
        const reason = toSluiceError(error);
        if (reason.code === "CANCELLED") throw reason;
        if (failure === undefined || !weak.has(reason.code)) failure = reason;
      }
    }
    throw failure ?? unsupported(options.endpoints);
  }

  static async #openOne(options: LinkOptions, endpoint: string): Promise<Link> {
    const { timeoutMs = HANDSHAKE_TIMEOUT_MS, signal } = options;
    const link = new Link(options);
    const welcomed = new Promise<void>((resolve, reject) => {
      link.#settle = { resolve, reject };
    });
    // It may be rejected before it is awaited, when the connection breaks at once.
    welcomed.catch(() => {});
    link.transport = await openTransport({
      endpoint,
      server: options.server,
      timeoutMs,
      signal,
      handlers: {
        // Without a held frame there is always room.
        space: () => link.#reader.space()!,
        onFilled: (byteCount) => {
          link.#reader.filled(byteCount);
          link.#onReceived();
        },
        place: () => link.#reader.placeSpace(),
        onPlaced: (byteCount) => {
          link.#reader.placed(byteCount);
          link.#onReceived();
        },
        leaveSpace: () => link.#reader.leaveSpace(),
        onBytes: (bytes) => {
          link.#reader.push(bytes);
          link.#onReceived();
        },
        onClose: (cause) => link.#over({ error: link.#refusal, cause }),
      },
    });
    try {
      await withinTime(welcomed, { timeoutMs, signal });
      return link;
    } catch (error) {
      link.destroy();
      throw error;
    }
  }

  /** Closes it at once, without telling the session. */
  destroy(): void {
    this.#isOver = true;
    this.transport.destroy();
  }

  #onReceived(): void {
    if (this.#isOver) return;
    try {
      for (let frame = this.#reader.next(); frame !== undefined; frame = this.#reader.next()) {
        this.#onFrame(frame);
        if (this.#isOver) return;
      }
      this.#placeData();
    } catch (error) {
      this.transport.destroy();
      this.#over({ error: toSluiceError(error), cause: undefined });
    }
  }

  /** Has the data of a large answer that has begun read to where it goes. */
  #placeData(): void {
    const begun = this.#isOpen ? this.#reader.begun() : undefined;
    if (begun === undefined || begun.byteCount < PLACED_BYTES_MIN || !this.transport.places) return;
    const into = this.#options.handlers.placeFor(begun);
    if (into !== undefined) this.#reader.place(PLACED_HEAD_BYTES, into);
  }

  #onFrame(frame: Frame): void {
    if (frame.kind === FrameKind.REFUSAL) {
      const { code, message } = decodeRefusal(frame.buffer, frame.start, frame.end);
      this.#refusal = new SluiceError(codeOfWire(code), message, { leaseId: this.#credentials.leaseId });
    } else if (this.#isOpen) this.#options.handlers.onFrame(frame);
    else if (this.#serverNonce === undefined) this.#onGreeting(frame);
    else this.#onWelcome(frame, this.#serverNonce);
  }

  #onGreeting(frame: Frame): void {
    if (frame.kind !== FrameKind.GREETING) throw unexpected(frame, "greeting");
    const greeting = decodeGreeting(frame.buffer, frame.start, frame.end);
    const { handlers } = this.#options;
    this.#serverNonce = Uint8Array.from(greeting.nonce);
    checkGreeting(greeting);
    this.transport.write(helloFrame(greeting, this.#credentials, handlers.onGreeting()), () => {});
    handlers.onHello(this);
  }

  #onWelcome(frame: Frame, serverNonce: Uint8Array): void {
    if (frame.kind !== FrameKind.WELCOME) throw unexpected(frame, "welcome");
    const welcome = decodeWelcome(frame.buffer, frame.start, frame.end);
    checkWelcome(welcome, serverNonce, this.#credentials);
    this.#options.handlers.onWelcome(this, welcome);
    this.#isOpen = true;
    this.#settle?.resolve();
  }

  #over(loss: Loss): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (this.#isOpen) {
      this.#options.handlers.onLost(this, loss);
      return;
    }
    const words = loss.cause?.message ?? "the server closes it";
    const broken = `The connection breaks in the handshake [${words}].`;
    this.#settle?.reject(loss.error ?? new SluiceError("CONNECTION_LOST", broken, { cause: loss.cause }));
  }
}

const unexpected = ({ kind }: Frame, expected: string): SluiceError =>
  protocolError(`A frame of kind [${kind}] comes before the ${expected}.`);

const unsupported = (endpoints: readonly string[]): SluiceError =>
  new SluiceError(
    "UNSUPPORTED",
    `The server offers the data endpoints [${endpoints.join(", ")}], and this client speaks [${transportKinds.join(", ")}].`,
  );

async function withinTime<T>(
  promise: Promise<T>,
  { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal: AbortSignal | undefined },
): Promise<T> {
  const timeout = AbortSignal.timeout(timeoutMs);
  try {
    return await orAborted(promise, signal === undefined ? timeout : AbortSignal.any([signal, timeout]));
  } catch (error) {
    if (signal?.aborted) throw cancelled(signal);
    if (!timeout.aborted) throw error;
    throw new SluiceError("HANDSHAKE_TIMEOUT", `The server says nothing for [${timeoutMs}] ms in the handshake.`);
  }
}
