/** What everything that lives on one device of a lease shares: buffers, modules, streams and events know no more of each other. */
import { SluiceError } from "../shared/errors.ts";
import type { Arena } from "./arena.ts";
import type { Content } from "./content.ts";
import type { Session } from "./session.ts";

/** Handles are counted upwards and never used again in a session; each kind counts for itself. */
class HandleCounter {
  #last = 0;

  next(): number {
    return ++this.#last;
  }

  /** Whether there was ever one. */
  get used(): boolean {
    return this.#last > 0;
  }
}

/** Shared by all devices of one session. */
export class SessionHandles {
  readonly images = new HandleCounter();
  readonly modules = new HandleCounter();
  readonly streams = new HandleCounter();
  readonly events = new HandleCounter();
  readonly recordings = new HandleCounter();
  readonly textures = new HandleCounter();
  readonly surfaces = new HandleCounter();
}

export interface DeviceContext {
  readonly session: Session;
  readonly handles: SessionHandles;
  readonly content: Content;
  readonly arena: Arena;
  /** Index of the device within the lease. */
  readonly index: number;
  /** The device's id in the pool. */
  readonly deviceId: string;
  readonly leaseId: string;
  /** What a block can have at most. */
  readonly sharedBytesMax: number;
  /** When all work of the device was known to be done. */
  readonly idle: KnownIdle;
  /** Whether kernels have memory on which they allocate by themselves. */
  readonly heap: { isThere: boolean };
}

/**
 * When some work was known to be done: the sequence number of the last call whose answer said so. As long as nothing was issued behind it, the
 * same question needs no trip.
 */
export class KnownIdle {
  /** 0: never. */
  at = 0;

  /** Asks, and remembers if the answer means that the work is done. */
  async learn<A>(session: Session, ask: () => Promise<A>, isDone: (answer: A) => boolean = () => true): Promise<A> {
    const asking = ask();
    const sequence = session.calls;
    const answer = await asking;
    if (isDone(answer)) this.at = Math.max(this.at, sequence);
    return answer;
  }
}

/** @throws SluiceError BAD_ARGUMENT while a recording is made: nothing ends in one. */
export function refuseInRecording({ session }: DeviceContext, opcode: number): void {
  if (session.recorder !== undefined) throw session.recorder.refuse(opcode);
}

export function closedError(what: string): SluiceError {
  return new SluiceError("CLOSED", `${what} is used after its end.`);
}

/** Things of one device do not work on another. */
export function foreignError(what: string, options: { owner: DeviceContext; user: DeviceContext }): SluiceError {
  const { owner, user } = options;
  return new SluiceError(
    "BAD_ARGUMENT",
    `${what} belongs to the device [${owner.deviceId}] of the lease [${owner.leaseId}], and is used on [${user.deviceId}] of [${user.leaseId}].`,
  );
}
