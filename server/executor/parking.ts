/**
 * Suspends the work of a lease and lets it go on: which of the two it is doing, and how far it is, over the sessions that come and go meanwhile. Requests
 * wait for each other; one that finds all as it wants it does nothing. Knows no channel and no device.
 */
import { SluiceError } from "../../shared/errors.ts";
import type { ParkState } from "./control-messages.ts";
import type { Session } from "./session.ts";
import { openSettled } from "./settling.ts";
import { LostMemory } from "./slice-memory.ts";
import type { Workspace } from "./workspace.ts";

/** A session and what it has. */
export interface Work {
  readonly session: Session;
  readonly work: Workspace;
}

export interface ParkingOptions {
  /** The session that there is now. */
  readonly current: () => Work | undefined;
  /** What was saved is lost: the lease cannot go on. */
  readonly onLost: (error: LostMemory) => void;
  /** How long a device may take to have the memory, whose last owner may have only just left. Default: as for a slice that is opened. */
  readonly settlingMsMax?: number;
}

export class Parking {
  readonly #options: ParkingOptions;
  #state: ParkState = "running";
  #savedBytes = 0;
  #keptBytes: readonly number[] = [];
  /** Settles when the last request is done. */
  #last: Promise<void> = Promise.resolve();
  /** Has the session's halt that is waited for given up. */
  #giveUp: (() => void) | undefined;

  constructor(options: ParkingOptions) {
    this.#options = options;
  }

  get state(): ParkState {
    return this.#state;
  }

  /** In the file. */
  get savedBytes(): number {
    return this.#savedBytes;
  }

  /** Of each slice what its device has still in use, while it is parked. */
  get keptBytes(): readonly number[] {
    return this.#keptBytes;
  }

  /** Resolves when nothing runs and the devices have their memory back. Rejects with why all is as before. */
  park(folder: string): Promise<void> {
    // A session that comes behind this request waits, however soon.
    if (this.#state === "running") this.#state = "parking";
    return this.#next(() => this.#park(folder));
  }

  /** Resolves when it runs. Rejects with why it is parked as before; never, when what was saved is lost. */
  unpark(): Promise<void> {
    if (this.#state === "parking") {
      this.#options.current()?.work.giveUpParking();
      this.#giveUp?.();
    }
    return this.#next(() => this.#unpark());
  }

  /** A session has begun, and has run no call. */
  began({ session }: Work): void {
    if (this.#state !== "running") void session.halt();
  }

  /** A session is over, and what was saved of it is gone. */
  ended(): void {
    this.#forget();
  }

  #next(work: () => Promise<void>): Promise<void> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => {});
    return done;
  }

  async #park(folder: string): Promise<void> {
    if (this.#state === "parked") return;
    this.#state = "parking";
    const now = this.#options.current();
    try {
      this.#forget();
      if (now !== undefined) {
        this.#savedBytes = await this.#release(now, folder);
        this.#keptBytes = now.work.keptBytes;
      }
      this.#state = "parked";
    } catch (error) {
      if (error instanceof LostMemory) return this.#lose(error);
      // A session that ends meanwhile leaves nothing to save.
      if (now?.session.isOver === true) {
        this.#forget();
        this.#state = "parked";
        return;
      }
      this.#run();
      throw error;
    }
  }

  async #release({ session, work }: Work, folder: string): Promise<number> {
    const givenUp = new Promise<"givenUp">((resolve) => {
      this.#giveUp = () => resolve("givenUp");
    });
    const how = await Promise.race([session.halt(), givenUp]);
    this.#giveUp = undefined;
    if (how === "givenUp") throw new SluiceError("CANCELLED", "The suspension is given up.");
    return work.park(folder);
  }

  async #unpark(): Promise<void> {
    if (this.#state === "running") return;
    this.#state = "unparking";
    const now = this.#options.current();
    try {
      if (now !== undefined) await openSettled(() => now.work.unpark(), this.#options.settlingMsMax);
    } catch (error) {
      if (error instanceof LostMemory) return this.#lose(error);
      if (now?.session.isOver !== true) {
        this.#state = "parked";
        throw error;
      }
    }
    this.#run();
  }

  #run(): void {
    this.#state = "running";
    this.#forget();
    this.#options.current()?.session.goOn();
  }

  #forget(): void {
    this.#savedBytes = 0;
    this.#keptBytes = [];
  }

  /** Whoever asked hears of it by the end of the process. */
  #lose(error: LostMemory): Promise<never> {
    this.#options.onLost(error);
    return new Promise(() => {});
  }
}
