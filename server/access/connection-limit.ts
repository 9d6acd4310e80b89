/**
 * How many connections a port has at once, in all and from one address, so that nobody can take them all. It counts sockets; what they
 * carry is their port's.
 */
import type { Socket } from "node:net";

export interface ConnectionBounds {
  readonly connections: number;
  /** From one address; callers behind one router share it. */
  readonly perAddress: number;
}

export class ConnectionLimit {
  readonly #bounds: ConnectionBounds;
  readonly #perAddress = new Map<string, number>();
  #count = 0;

  constructor(bounds: ConnectionBounds) {
    this.#bounds = bounds;
  }

  /** Connections now. */
  get count(): number {
    return this.#count;
  }

  /** Counts a connection until it closes; false, and closed at once, when there are too many. */
  admit(socket: Socket): boolean {
    const address = socket.remoteAddress ?? "";
    const known = this.#perAddress.get(address) ?? 0;
    if (this.#count >= this.#bounds.connections || known >= this.#bounds.perAddress) {
      socket.destroy();
      return false;
    }
    this.#count++;
    this.#perAddress.set(address, known + 1);
    socket.once("close", () => {
      this.#count--;
      const left = (this.#perAddress.get(address) ?? 1) - 1;
      if (left === 0) this.#perAddress.delete(address);
      else this.#perAddress.set(address, left);
    });
    return true;
  }
}
