/**
 * The connection to the live feed: opens it, opens it again when it is lost, and says so meanwhile. A server that is silent for too
 * long is as good as lost.
 */
import type { WatchPoolResponse__Output } from "../../../proto/generated/sluice/v1/WatchPoolResponse.ts";
import { decode } from "./decode.ts";

export type Connection =
  | { readonly state: "connecting" }
  | { readonly state: "live" }
  /** Since when there is no news. */
  | { readonly state: "lost"; readonly sinceMs: number };

/** The server says something every five seconds at least. */
const SILENCE_MS_MAX = 12_000;
const RETRY_MS = 500;
const RETRY_MS_MAX = 5_000;

export interface FeedEvents {
  /** Takes a message; false when one is missing and the feed has to start over. */
  readonly message: (message: WatchPoolResponse__Output) => boolean;
  readonly connection: (connection: Connection) => void;
  /** The feed has been lost: is the login still good? */
  readonly lost: () => void;
}

export class Feed {
  readonly #events: FeedEvents;
  #socket: WebSocket | undefined;
  #silence: ReturnType<typeof setTimeout> | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #retryMs = RETRY_MS;
  #lostSince: number | undefined;
  #isStopped = false;

  constructor(events: FeedEvents) {
    this.#events = events;
    this.#open();
    // A laptop that wakes up, or a network that comes back, should not wait for the next try.
    window.addEventListener("online", this.#hurry);
    document.addEventListener("visibilitychange", this.#hurry);
  }

  stop(): void {
    this.#isStopped = true;
    window.removeEventListener("online", this.#hurry);
    document.removeEventListener("visibilitychange", this.#hurry);
    this.#drop();
  }

  readonly #hurry = (): void => {
    if (this.#retry === undefined || document.hidden) return;
    clearTimeout(this.#retry);
    this.#open();
  };

  #open(): void {
    this.#retry = undefined;
    const socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/api/watch`);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    this.#expect();
    socket.onmessage = ({ data }: MessageEvent<ArrayBuffer>) => {
      this.#expect();
      const message = decode("WatchPoolResponse", new Uint8Array(data)) as WatchPoolResponse__Output;
      if (!this.#events.message(message)) {
        this.#lose();
        return;
      }
      this.#retryMs = RETRY_MS;
      this.#lostSince = undefined;
      this.#events.connection({ state: "live" });
    };
    socket.onclose = () => this.#lose();
  }

  /** Waits for the next message, for so long. */
  #expect(): void {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.#lose(), SILENCE_MS_MAX);
  }

  #drop(): void {
    clearTimeout(this.#silence);
    clearTimeout(this.#retry);
    if (this.#socket === undefined) return;
    this.#socket.onclose = null;
    this.#socket.onmessage = null;
    this.#socket.close();
    this.#socket = undefined;
  }

  #lose(): void {
    this.#drop();
    if (this.#isStopped) return;
    this.#lostSince ??= Date.now();
    this.#events.connection({ state: "lost", sinceMs: this.#lostSince });
    this.#events.lost();
    this.#retry = setTimeout(() => this.#open(), this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS_MAX);
  }
}
