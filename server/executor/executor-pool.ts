/** Executors kept warm: starting one takes a good part of a second, and a first session should not wait for it. */
import type { DeviceDescription } from "../device/device.ts";
import type { ControlFolders } from "./control-folder.ts";
import { ExecutorProcess } from "./executor-process.ts";

/** A spare is started this long after one was taken, so that it does not compete with the session that took it. */
const REFILL_DELAY_MS = 100;
/** Spares that die young are replaced more slowly each time, up to this. */
const REFILL_DELAY_MS_MAX = 30_000;

export class ExecutorPool {
  readonly #folders: ControlFolders;
  readonly #sparesMax: number;
  readonly #deviceKinds: readonly DeviceDescription["kind"][];
  readonly #onLog: (level: "info" | "warn" | "error", message: string) => void;
  readonly #spares: ExecutorProcess[] = [];
  #refill: NodeJS.Timeout | undefined;
  #refillDelayMs = REFILL_DELAY_MS;
  #closed = false;

  constructor(options: {
    readonly folders: ControlFolders;
    /** How many to keep warm; 0 for none. */
    readonly spares: number;
    readonly deviceKinds: readonly DeviceDescription["kind"][];
    readonly onLog: (level: "info" | "warn" | "error", message: string) => void;
  }) {
    this.#folders = options.folders;
    this.#sparesMax = options.spares;
    this.#deviceKinds = options.deviceKinds;
    this.#onLog = options.onLog;
  }

  /** An executor without a lease: a spare, or a new one. */
  take(): ExecutorProcess {
    const spare = this.#spares.shift() ?? this.#start();
    spare.onMessage = () => {};
    this.warm();
    return spare;
  }

  /** Starts the missing spares, one after the other and soon; in milliseconds, by default so that it is in nobody's way. */
  warm(delayMs = this.#refillDelayMs): void {
    if (this.#closed || this.#refill !== undefined || this.#spares.length >= this.#sparesMax) return;
    this.#refill = setTimeout(() => {
      this.#refill = undefined;
      this.#addSpare();
    }, delayMs);
  }

  /** Ends all spares; executors that were taken are their takers'. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#refill);
    const spares = this.#spares.splice(0);
    for (const spare of spares) spare.kill();
    await Promise.all(spares.map((spare) => spare.exited));
  }

  #start(): ExecutorProcess {
    const executor = ExecutorProcess.start(this.#folders);
    executor.send({ kind: "prepare", deviceKinds: this.#deviceKinds });
    return executor;
  }

  #addSpare(): void {
    if (this.#closed) return;
    const spare = this.#start();
    this.#spares.push(spare);
    spare.onMessage = (message) => {
      if (message.kind !== "ready") return;
      this.#refillDelayMs = REFILL_DELAY_MS;
      this.warm();
    };
    void spare.exited.then((how) => {
      const at = this.#spares.indexOf(spare);
      if (at < 0) return; // It was taken, or the pool is closed.
      this.#spares.splice(at, 1);
      this.#onLog("warn", `A spare executor ends [${how}].`);
      this.#refillDelayMs = Math.min(this.#refillDelayMs * 2, REFILL_DELAY_MS_MAX);
      this.warm();
    });
  }
}
