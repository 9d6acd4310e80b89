/**
 * The connection of one session, kept up over breaks: it connects, comes back with what both ends lack when a connection breaks or falls silent,
 * and says when there is no point any more. It knows the outbox and frames as a whole, no calls and no answers.
 */
import { randomBytes } from "node:crypto";
import { type ErrorCode, SluiceError, toSluiceError } from "../shared/errors.ts";
import { FrameKind, type Welcome } from "../shared/generated/calls.ts";
import { HANDSHAKE_TIMEOUT_MS, SESSION_GRACE_MS, SILENCE_MS_MAX } from "../shared/limits.ts";
import type { BegunFrame, Frame } from "../shared/wire/frame.ts";
import { protocolError } from "../shared/wire/wire-buffer.ts";
import { underAny } from "./abort.ts";
import type { EarlyLink } from "./early-link.ts";
import { forgetAtExit, sayAtExit } from "./exit-farewell.ts";
import { SESSION_ID_BYTES } from "./handshake.ts";
import { Link, type LinkHandlers, type Loss } from "./link.ts";
import type { Outbox } from "./outbox.ts";
import { isPassing, Reconnection } from "./reconnection.ts";
import { SilenceWatch } from "./silence-watch.ts";
import { withHost } from "./transport/open.ts";
import type { ServerLink } from "./transport/transport.ts";

/** How often a session whose first connection breaks in the handshake tries another. */
const HANDSHAKE_RETRIES = 3;
const retried: ReadonlySet<ErrorCode> = new Set(["CONNECTION_LOST", "TOO_MANY_CONNECTIONS"]);

/** What becomes of a session's connection. */
export interface ConnectionChange {
  readonly state: "lost" | "resumed";
  /** The data endpoint that was in use, or is now. */
  readonly endpoint: string;
  /** Why it was lost, in the system's words; undefined when it was resumed. */
  readonly reason: string | undefined;
}

/** Where the server is, and how to get there. */
export interface ConnectionOptions {
  readonly endpoints: readonly string[];
  /** Host of the gRPC server, for endpoints that name none. */
  readonly host: string;
  /** For transports that need more than an address. */
  readonly server?: ServerLink | undefined;
  readonly leaseId: string;
  readonly secret: Uint8Array;
  /** How long to try to resume the session when its connection breaks, at most; 0: not at all. Default SESSION_GRACE_MS. */
  readonly resumeMs?: number | undefined;
  /** How long the server may be silent while it is waited for, before another connection is tried. Default SILENCE_MS_MAX. */
  readonly silenceMs?: number | undefined;
  /** Called when the connection breaks, and when the session goes on. */
  readonly onConnection?: (change: ConnectionChange) => void;
  /**
   * Asked when the first connecting has failed: resolves with the endpoints to try then, as the same session, which the server may have begun;
   * rejects with why there is no point. Default: there is none.
   */
  readonly again?: (failure: SluiceError) => Promise<readonly string[]>;
  /** Asked when the connection is lost without a word: why, if anyone knows. Bounded in time; never rejects. */
  readonly reasonOfLoss: () => Promise<SluiceError | undefined>;
  /** A connection that may be there already, for the first connecting. */
  readonly early?: EarlyLink | undefined;
  /** Calls the first connecting off. */
  readonly signal?: AbortSignal | undefined;
}

/** What the session does. */
export interface ConnectionHandlers {
  /** Another connection goes on where one broke. */
  onResumed(): void;
  onFrame(frame: Frame): void;
  /** As the link asks. */
  placeFor(frame: BegunFrame): Uint8Array | undefined;
  /** Whether an answer is waited for. */
  isAwaited(): boolean;
  /** The session cannot go on. */
  onOver(error: SluiceError): void;
}

export class Connection {
  readonly #options: ConnectionOptions;
  readonly #outbox: Outbox;
  readonly #handlers: ConnectionHandlers;
  #sessionId = randomBytes(SESSION_ID_BYTES);
  #endpoints: readonly string[];
  readonly #reconnection: Reconnection;
  readonly #watch: SilenceWatch;
  readonly #linkHandlers: LinkHandlers;
  /** The link in use; the last one while there is none. */
  #link: Link | undefined;
  #isOpen = false;
  /** The link that is being made. */
  #dialing: Promise<void> | undefined;
  /** Calls off the attempt at another link while the one in use is silent. */
  #attempt: AbortController | undefined;
  /** The link whose HELLO was followed at once by the calls that attach. */
  #firstLink: Link | undefined;
  /** There has been a WELCOME. */
  #begun = false;
  /** What both ends agreed on. */
  #resumeMs: number;
  #bytesBefore = { sent: 0, received: 0 };
  #goodbyeSaid = false;
  #goodbyeHeard = false;
  /** Aborted at the end: calls off what waits for the network. */
  readonly #over = new AbortController();
  /** How often a broken connection was replaced. */
  reconnects = 0;

  constructor(options: ConnectionOptions, outbox: Outbox, handlers: ConnectionHandlers) {
    this.#options = options;
    this.#endpoints = options.endpoints;
    this.#outbox = outbox;
    this.#handlers = handlers;
    this.#resumeMs = options.resumeMs ?? SESSION_GRACE_MS;
    this.#reconnection = new Reconnection({
      connect: (timeoutMs) => this.#connect(timeoutMs),
      spread: this.#sessionId[0]! / 255,
    });
    this.#watch = new SilenceWatch({
      silenceMs: options.silenceMs ?? SILENCE_MS_MAX,
      // Bytes that leave are a sign of life too: a dead path takes no more.
      moved: () => this.bytesReceived + this.bytesSent,
      isAwaited: () => handlers.isAwaited() || outbox.queuedBytes > 0,
      onSilence: () => void this.#tryAnother(),
    });
    this.#linkHandlers = {
      position: () => ({ resumeMs: this.#resumeMs, begun: this.#begun, received: this.#outbox.received }),
      onHello: (link) => this.#onHello(link),
      onWelcome: (link, welcome) => this.#onWelcome(link, welcome),
      onFrame: (frame) => this.#onFrame(frame),
      placeFor: (frame) => (this.#isOver ? undefined : handlers.placeFor(frame)),
      onLost: (link, loss) => this.#onLost(link, loss),
    };
  }

  /** The endpoint in use, or used last. */
  get endpoint(): string {
    return this.#link?.transport.endpoint ?? "";
  }

  /** Bytes over all connections. */
  get bytesSent(): number {
    return this.#bytesBefore.sent + (this.#isOpen ? this.#link!.transport.bytesSent : 0);
  }

  get bytesReceived(): number {
    return this.#bytesBefore.received + (this.#isOpen ? this.#link!.transport.bytesReceived : 0);
  }

  /** Aborted when it is over. */
  get over(): AbortSignal {
    return this.#over.signal;
  }

  /**
   * Connects for the first time. One that breaks in the handshake is tried again a few times: the server may have begun the session.
   * So is one that was refused because too many are under way, such as those of other clients that connect before their grants. Then it asks
   * whether to try on, and where.
   * @throws SluiceError
   */
  async open(): Promise<void> {
    for (;;) {
      try {
        await this.#openHere();
        return;
      } catch (error) {
        const { again } = this.#options;
        if (again === undefined || this.#isOver) throw error;
        this.#endpoints = await again(toSluiceError(error));
        // One that ends with its connection is not to be met again.
        if (this.#resumeMs === 0) this.#sessionId = randomBytes(SESSION_ID_BYTES);
      }
    }
  }

  async #openHere(): Promise<void> {
    for (let left = this.#resumeMs === 0 ? 0 : HANDSHAKE_RETRIES; ; left--) {
      try {
        await this.#connect(HANDSHAKE_TIMEOUT_MS);
        return;
      } catch (error) {
        if (left === 0 || !retried.has(toSluiceError(error).code)) throw error;
      }
    }
  }

  /** Says GOODBYE, now or as soon as the server can be reached. */
  goodbye(): void {
    this.#goodbyeSaid = true;
    if (this.#isOpen) this.#outbox.goodbye();
  }

  /** The program ends now: its session need not wait for it. */
  farewell(): void {
    if (this.#isOpen && !this.#goodbyeSaid) this.#outbox.farewell();
  }

  /** Whether it keeps the program alive. */
  keepAlive(keeps: boolean): void {
    this.#reconnection.keepAlive(keeps);
    if (keeps) this.#link?.transport.ref();
    else this.#link?.transport.unref();
  }

  /** Closes it at once, without telling the session. */
  destroy(): void {
    this.#over.abort();
    this.#watch.stop();
    forgetAtExit(this);
    this.#link?.destroy();
  }

  get #isOver(): boolean {
    return this.#over.signal.aborted;
  }

  /** One at a time: where the session stands when it says HELLO must still be so when WELCOME comes. */
  async #connect(timeoutMs: number, attempt?: AbortSignal): Promise<void> {
    const earlier = this.#dialing;
    if (earlier !== undefined) {
      await earlier.catch(() => {});
      if (this.#isOpen) return;
    }
    this.#dialing = this.#dial(timeoutMs, attempt);
    try {
      await this.#dialing;
    } finally {
      this.#dialing = undefined;
    }
  }

  async #dial(timeoutMs: number, attempt: AbortSignal | undefined): Promise<void> {
    const { host, server, leaseId, secret, signal } = this.#options;
    const endpoints = this.#endpoints;
    try {
      const early = await this.#options.early?.take(endpoints.map((each) => withHost(each, host)));
      await underAny([this.over, this.#begun ? attempt : signal], (either) =>
        Link.open({
          early,
          endpoints,
          host,
          server,
          leaseId,
          secret,
          sessionId: this.#sessionId,
          handlers: this.#linkHandlers,
          timeoutMs,
          signal: either,
        }),
      );
    } catch (error) {
      if (!this.#isOpen) this.#outbox.detach();
      throw error;
    }
  }

  /** The calls that attach follow the first HELLO at once; whoever comes back waits for what the server has. */
  #onHello(link: Link): void {
    if (this.#firstLink !== undefined || this.#isOver) return;
    this.#firstLink = link;
    this.#outbox.attach(link.transport, 0);
    this.#outbox.flush();
  }

  /** The server goes on here: only now is a link that was silent given up. */
  #onWelcome(link: Link, welcome: Welcome): void {
    this.#outbox.acknowledge(welcome.received);
    if (this.#isOpen) {
      this.#tellLost("the server is silent there");
      this.#leave(this.#link!);
    }
    this.#attempt = undefined;
    this.#link = link;
    this.#isOpen = true;
    this.#resumeMs = welcome.resumeMs;
    this.keepAlive(this.#handlers.isAwaited() || this.#goodbyeSaid);
    if (link !== this.#firstLink) this.#outbox.attach(link.transport, welcome.received);
    this.#outbox.onAcknowledgement(welcome.executed >>> 0);
    if (this.#goodbyeSaid) this.#outbox.goodbye();
    if (this.#begun) {
      this.reconnects++;
      this.#handlers.onResumed();
      this.#tell({ state: "resumed", endpoint: this.endpoint, reason: undefined });
    }
    this.#begun = true;
    if (this.#resumeMs === 0) return;
    this.#watch.start();
    sayAtExit(this);
  }

  #onFrame(frame: Frame): void {
    if (this.#isOver) return;
    // The link in use was only slow. What it brings makes untrue what another HELLO says of the session.
    this.#attempt?.abort();
    this.#outbox.onAcknowledgement(frame.ack);
    if (frame.kind !== FrameKind.GOODBYE) this.#handlers.onFrame(frame);
    else if (this.#goodbyeSaid) this.#goodbyeHeard = true;
    else throw protocolError("The server says GOODBYE in an open session.");
  }

  #onLost(link: Link, { error, cause }: Loss): void {
    if (link !== this.#link || !this.#isOpen) return;
    this.#leave(link);
    if (this.#isOver) return;
    if (this.#goodbyeHeard) this.#handlers.onOver(error ?? new SluiceError("CLOSED", "The session has ended."));
    else if (error !== undefined) this.#handlers.onOver(error);
    else {
      const words = cause?.message ?? "the server closes it";
      if (this.#resumeMs > 0) this.#tellLost(words);
      void this.#resume(words);
    }
  }

  /** Works with this link no more. */
  #leave(link: Link): void {
    this.#watch.stop();
    this.#bytesBefore = { sent: this.bytesSent, received: this.bytesReceived };
    this.#isOpen = false;
    this.#outbox.detach();
    link.destroy();
  }

  /**
   * The server is silent: if it can be reached over another connection, the session goes on there. Until that has its WELCOME the one in use may
   * still be good, so nothing is made of a failure but where a server that knows the lease says that the session is over.
   */
  async #tryAnother(): Promise<void> {
    if (this.#dialing !== undefined) return;
    const attempt = new AbortController();
    this.#attempt = attempt;
    try {
      await this.#connect(HANDSHAKE_TIMEOUT_MS, attempt.signal);
    } catch (error) {
      const failure = toSluiceError(error);
      if (failure.code === "SESSION_LOST" && this.#isOpen) this.#handlers.onOver(failure);
    } finally {
      this.#attempt = undefined;
    }
  }

  /** Goes on over a new connection, or says that the session is over. */
  async #resume(words: string): Promise<void> {
    const { endpoint } = this;
    let failure: SluiceError | undefined;
    if (this.#resumeMs > 0) {
      this.#reconnection.keepAlive(this.#handlers.isAwaited() || this.#goodbyeSaid);
      try {
        await this.#reconnection.run(this.#resumeMs);
        return;
      } catch (error) {
        failure = toSluiceError(error);
      }
    }
    if (this.#isOver) return;
    if (failure !== undefined && !isPassing(failure)) {
      this.#handlers.onOver(failure);
      return;
    }
    const { leaseId, reasonOfLoss } = this.#options;
    const reason = await reasonOfLoss();
    const after =
      failure === undefined ? "" : `, and cannot be resumed within [${this.#resumeMs}] ms [${failure.message}]`;
    const message = `The connection to [${endpoint}] breaks [${words}]${after}.`;
    this.#handlers.onOver(reason ?? new SluiceError("CONNECTION_LOST", message, { leaseId }));
  }

  #tellLost(reason: string): void {
    this.#tell({ state: "lost", endpoint: this.endpoint, reason });
  }

  #tell(change: ConnectionChange): void {
    // In its own turn: what the caller's function throws must not look like a fault of the connection.
    queueMicrotask(() => this.#options.onConnection?.(change));
  }
}
