/** Where a request stands on each of the servers on which it waits, told as one place. */
import type { DeviceReason } from "../../shared/errors.ts";
import type { Control, QueuePlace } from "../control.ts";
import { reasonsAt } from "./failure.ts";

/** News of several servers that come together are told together. */
const TELL_MS = 50;

type Named = Pick<Control, "name" | "address">;

export class Places {
  readonly #servers: readonly Named[];
  readonly #tell: (place: QueuePlace) => void;
  readonly #known = new Map<string, QueuePlace>();
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(servers: readonly Named[], tell: (place: QueuePlace) => void) {
    this.#servers = servers;
    this.#tell = tell;
  }

  set({ address }: Named, place: QueuePlace): void {
    this.#known.set(address, place);
    this.#tellSoon();
  }

  /** The request does not wait there any more, or nobody knows where. */
  forget({ address }: Named): void {
    if (this.#known.delete(address) && this.#known.size > 0) this.#tellSoon();
  }

  /** Tells nothing any more. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  #tellSoon(): void {
    if (this.#isClosed || this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#known.size > 0) this.#tell(this.#place());
    }, TELL_MS);
  }

  /** The best place, the earliest start, and the reasons of each server in turn, so that the first few are of all. */
  #place(): QueuePlace {
    const places = this.#servers.flatMap(({ name, address }) => {
      const place = this.#known.get(address);
      return place === undefined ? [] : [{ server: address, name, place }];
    });
    const starts = places.flatMap(({ place }) => place.startsAtMs ?? []);
    return {
      position: Math.min(...places.map(({ place }) => place.position)),
      reasons: inTurn(places.map(({ name, place }) => reasonsAt(name, place.reasons))),
      startsAtMs: starts.length === 0 ? undefined : Math.min(...starts),
      servers: places.map(({ server, name, place: { id, position } }) => ({ server, name, id, position })),
    };
  }
}

function inTurn(lists: readonly (readonly DeviceReason[])[]): DeviceReason[] {
  const longest = Math.max(...lists.map(({ length }) => length));
  return Array.from({ length: longest }, (_, at) => lists.flatMap((list) => list[at] ?? [])).flat();
}
