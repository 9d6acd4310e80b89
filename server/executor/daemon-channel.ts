/**
 * The executor's end of the control socket: it listens, and daemons connect, one after the other. What the last one still said is heard
 * before the next one is greeted, also of one that was gone before it was greeted itself. Knows no message.
 */
import { createServer, type Server, type Socket } from "node:net";
import { writerOf } from "../session/socket-pair.ts";
import { readMessages, writeMessage } from "./message-lines.ts";

export interface DaemonChannelOptions {
  /** A Unix socket that listens, from the daemon that started this process. */
  readonly listener: number;
  readonly onConnected: () => void;
  readonly onMessage: (message: unknown) => void;
  /** A daemon is gone, and all that it said has been heard. */
  readonly onGone: () => void;
  /** The daemon is gone and no other is there yet. */
  readonly onLost: () => void;
}

export class DaemonChannel {
  readonly #options: DaemonChannelOptions;
  readonly #server: Server;
  readonly #waiting: Socket[] = [];
  #current: Socket | undefined;
  /** Of the current one: a write that fails must not end the reading of what came before. */
  #writer: Socket | undefined;

  constructor(options: DaemonChannelOptions) {
    this.#options = options;
    this.#server = createServer({ pauseOnConnect: true }, (socket) => {
      socket.on("error", () => socket.destroy());
      this.#waiting.push(socket);
      if (this.#current === undefined) this.#next();
    });
    this.#server.listen({ fd: options.listener });
  }

  /** Says it to the daemon; without one it is lost, as the next is told where things stand. */
  send(message: object): void {
    if (this.#writer !== undefined) writeMessage(this.#writer, message);
  }

  /** Resolves when all that was said is on its way. */
  close(): Promise<void> {
    this.#server.close();
    return new Promise((resolve) => {
      const writer = this.#writer;
      if (!writer?.writable) {
        resolve();
        return;
      }
      writer.once("close", resolve);
      writer.end(resolve);
    });
  }

  #next(): void {
    const socket = this.#waiting.shift();
    this.#current = socket;
    this.#writer = undefined;
    if (socket === undefined) {
      this.#options.onLost();
      return;
    }
    const writer = writerOf(socket);
    this.#writer = writer;
    writer.on("error", () => writer.destroy());
    socket.once("close", () => {
      writer.destroy();
      this.#options.onGone();
      this.#next();
    });
    this.#options.onConnected();
    readMessages(socket, this.#options.onMessage);
    socket.resume();
  }
}
