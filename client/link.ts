/**
 * One connection of a session: it finds the first endpoint behind which the lease's server is, shakes hands, and cuts what comes into
 * frames. It may be made before there is a lease to prove. A session whose link breaks goes on over another. It knows the frames of the
 * handshake (proto/README.md) and no calls.
 */
import { randomBytes } from "node:crypto";
import { codeOfWire, type ErrorCode, SluiceError, toSluiceError } from "../shared/errors.ts";
import {
  decodeGreeting,
  decodeRefusal,
  decodeWelcome,
  FrameKind,
  type Greeting,
  type Welcome,
} from "../shared/generated/calls.ts";
import { HANDSHAKE_TIMEOUT_MS } from "../shared/limits.ts";
import { type BegunFrame, type Frame, FrameReader } from "../shared/wire/frame.ts";
import { protocolError } from "../shared/wire/wire-buffer.ts";
import { cancelled } from "./abort.ts";
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
  /** Where the session stands, for HELLO. */
  position(): SessionPosition;
  /** HELLO is sent; what may follow it at once is sent now. */
  onHello(link: Link): void;
  /** The server has proved itself. What this throws ends the link before it is open. */
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

export interface DialOptions {
  readonly server?: ServerLink | undefined;
  /** For each endpoint, and there for each step: the connection, the greeting, the welcome. Default HANDSHAKE_TIMEOUT_MS. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What is to be proved, and who hears of the link from then on. */
export interface Claim {
  readonly leaseId: string;
  readonly secret: Uint8Array;
  readonly sessionId: Uint8Array;
  readonly handlers: LinkHandlers;
}

export interface LinkOptions extends DialOptions, Claim {
  /** Host of the gRPC server, for endpoints that name none. */
  readonly host: string;
  readonly endpoints: readonly string[];
  /** One that is there already, to try before all others. */
  readonly early?: Link | undefined;
}

/** Of all reasons why no endpoint serves, those that say least. */
const weak: ReadonlySet<ErrorCode> = new Set(["SERVER_UNREACHABLE", "CONNECTION_LOST", "HANDSHAKE_TIMEOUT"]);

export class Link {
  transport!: Transport;
  readonly #reader = new FrameReader({ placesAreLent: true });
  #greeting: Greeting | undefined;
  #claim: { readonly handlers: LinkHandlers; readonly credentials: Credentials } | undefined;
  #isOpen = false;
  #isOver = false;
  #refusal: SluiceError | undefined;
  /** Why it was over before it was open. */
  #failure: SluiceError | undefined;
  /** Ends the step that is waited for. */
  #settle: ((error?: SluiceError) => void) | undefined;

  private constructor() {}

  /**
   * Opens the first endpoint whose server proves itself. An endpoint may lead to a wrong server (the path of a socket exists on many
   * hosts), so a refusal passes on to the next too.
   * @throws SluiceError the most telling reason, or CANCELLED.
   */
  static async open(options: LinkOptions): Promise<Link> {
    const { early, host } = options;
    const known = endpointsOf(options.endpoints).filter((each) => options.server !== undefined || each !== "grpc://");
    const dialers = known.map((endpoint) => () => Link.dial(withHost(endpoint, host), options));
    if (early !== undefined) dialers.unshift(() => Promise.resolve(early));
    let failure: SluiceError | undefined;
    for (const dial of dialers) {
      try {
        const link = await dial();
        await link.#prove(options);
        return link;
      } catch (error) {
        const reason = toSluiceError(error);
        if (reason.code === "CANCELLED") throw reason;
        if (failure === undefined || !weak.has(reason.code)) failure = reason;
      }
    }
    throw failure ?? unsupported(options.endpoints);
  }

  /**
   * Connects to one endpoint and waits for its server's greeting; the lease is proved later, or never.
   * @throws SluiceError
   */
  static async dial(endpoint: string, options: DialOptions): Promise<Link> {
    const { server, timeoutMs = HANDSHAKE_TIMEOUT_MS, signal } = options;
    const link = new Link();
    link.transport = await openTransport({
      endpoint,
      server,
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
    if (link.#greeting === undefined) await link.#step(options);
    return link;
  }

  /** Whether it is over: then there is no point in proving anything over it. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Closes it at once, without telling the session. */
  destroy(): void {
    this.#isOver = true;
    this.transport.destroy();
  }

  /** Says HELLO, and waits until the server has proved itself too. */
  async #prove({ leaseId, secret, sessionId, handlers, timeoutMs, signal }: LinkOptions): Promise<void> {
    const greeting = this.#greeting;
    if (greeting === undefined || this.#failure !== undefined)
      throw this.#failure ?? new Error("There is no greeting.");
    if (signal?.aborted) {
      this.destroy();
      throw cancelled(signal);
    }
    const credentials = { leaseId, secret, sessionId, nonce: randomBytes(NONCE_BYTES) };
    this.#claim = { handlers, credentials };
    const welcomed = this.#step({ timeoutMs, signal });
    this.transport.write(helloFrame(greeting, credentials, handlers.position()), () => {});
    handlers.onHello(this);
    await welcomed;
  }

  /** Waits for the other end's next word; closes the link if that does not come. */
  #step({ timeoutMs = HANDSHAKE_TIMEOUT_MS, signal }: Pick<DialOptions, "timeoutMs" | "signal">): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (error?: SluiceError): void => {
        this.#settle = undefined;
        clearTimeout(timer);
        signal?.removeEventListener("abort", onAbort);
        if (error === undefined) {
          resolve();
          return;
        }
        this.destroy();
        reject(error);
      };
      const onAbort = (): void => settle(cancelled(signal));
      const silent = `The server says nothing for [${timeoutMs}] ms in the handshake.`;
      const timer = setTimeout(() => settle(new SluiceError("HANDSHAKE_TIMEOUT", silent)), timeoutMs);
      this.#settle = settle;
      signal?.addEventListener("abort", onAbort, { once: true });
      if (signal?.aborted) onAbort();
      // It may have broken at once.
      else if (this.#failure !== undefined) settle(this.#failure);
    });
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
    const into = this.#claim!.handlers.placeFor(begun);
    if (into !== undefined) this.#reader.place(PLACED_HEAD_BYTES, into);
  }

  #onFrame(frame: Frame): void {
    if (frame.kind === FrameKind.REFUSAL) {
      const { code, message } = decodeRefusal(frame.buffer, frame.start, frame.end);
      const leaseId = this.#claim?.credentials.leaseId;
      this.#refusal = new SluiceError(codeOfWire(code), message, leaseId === undefined ? {} : { leaseId });
    } else if (this.#isOpen) this.#claim!.handlers.onFrame(frame);
    else if (this.#greeting === undefined) this.#onGreeting(frame);
    else this.#onWelcome(frame, this.#greeting);
  }

  #onGreeting(frame: Frame): void {
    if (frame.kind !== FrameKind.GREETING) throw unexpected(frame, "greeting");
    const greeting = decodeGreeting(frame.buffer, frame.start, frame.end);
    checkGreeting(greeting);
    this.#greeting = { ...greeting, nonce: Uint8Array.from(greeting.nonce) };
    this.#settle?.();
  }

  #onWelcome(frame: Frame, greeting: Greeting): void {
    const claim = this.#claim;
    if (frame.kind !== FrameKind.WELCOME || claim === undefined) throw unexpected(frame, "welcome");
    const welcome = decodeWelcome(frame.buffer, frame.start, frame.end);
    checkWelcome(welcome, greeting.nonce, claim.credentials);
    claim.handlers.onWelcome(this, welcome);
    this.#isOpen = true;
    this.#settle?.();
  }

  #over(loss: Loss): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (this.#isOpen) {
      this.#claim!.handlers.onLost(this, loss);
      return;
    }
    const words = loss.cause?.message ?? "the server closes it";
    const broken = `The connection breaks in the handshake [${words}].`;
    this.#failure = loss.error ?? new SluiceError("CONNECTION_LOST", broken, { cause: loss.cause });
    this.#settle?.(this.#failure);
  }
}

const unexpected = ({ kind }: Frame, expected: string): SluiceError =>
  protocolError(`A frame of kind [${kind}] comes before the ${expected}.`);

const unsupported = (endpoints: readonly string[]): SluiceError =>
  new SluiceError(
    "UNSUPPORTED",
    `The server offers the data endpoints [${endpoints.join(", ")}], and this client speaks [${transportKinds.join(", ")}].`,
  );
