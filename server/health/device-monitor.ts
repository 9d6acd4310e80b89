/**
 * Watches the devices that are hardware, from a process of its own. One that falls silent is replaced, and silence counts against its devices:
 * a driver that does not answer an admin's question does not answer a job either.
 */
import type { Clock } from "../control/clock.ts";
import type { DeviceDescription, DeviceHealth } from "../device/device.ts";
import { isHardware } from "./device-probe.ts";
import { HealthProcess } from "./health-process.ts";

/** Questions take milliseconds, but a driver with an ill device, or a crowded machine, may take long. */
const SILENCE_MS_MAX = 60_000;
/** A process that died is replaced after this time, and after twice as long each time that it dies again. */
const RESTART_MS_MIN = 1_000;
const RESTART_MS_MAX = 60_000;

export interface DeviceMonitorOptions {
  readonly devices: readonly DeviceDescription[];
  readonly intervalMs: number;
  /** How long a process may say nothing. Default: a minute beside the interval. */
  readonly silenceMsMax?: number;
  readonly clock: Clock;
  readonly onHealth: (health: readonly DeviceHealth[]) => void;
  readonly onLog: (level: "info" | "warn" | "error", message: string) => void;
}

export class DeviceMonitor {
  readonly #options: DeviceMonitorOptions;
  readonly #devices: readonly DeviceDescription[];
  readonly #silenceMsMax: number;
  #process: HealthProcess | undefined;
  #cancelTimer: () => void = () => {};
  #restartMs = RESTART_MS_MIN;
  #closed = false;
  /** Acknowledgements that the process has been told of. */
  #acknowledged = 0;

  constructor(options: DeviceMonitorOptions) {
    this.#options = options;
    this.#devices = options.devices.filter(isHardware);
    this.#silenceMsMax = options.silenceMsMax ?? options.intervalMs + SILENCE_MS_MAX;
  }

  /** Begins; does nothing where no device is hardware. */
  start(): void {
    if (this.#devices.length === 0 || this.#closed) return;
    const { intervalMs, onHealth, onLog, clock } = this.#options;
    const child = new HealthProcess((message) => {
      // One that is killed may have said something before.
      if (this.#closed || this.#process !== child) return;
      // What was asked before an admin's word must not undo it.
      if (message.kind !== "health" || message.acknowledged < this.#acknowledged) return;
      this.#restartMs = RESTART_MS_MIN;
      this.#expectWord();
      onHealth(message.health);
    });
    this.#process = child;
    this.#acknowledged = 0;
    child.send({ kind: "watch", devices: this.#devices, intervalMs });
    this.#expectWord();
    void child.exited.then((how) => {
      if (this.#closed || this.#process !== child) return;
      onLog("warn", `The process that watches the devices ends [${how}].`);
      this.#process = undefined;
      this.#cancelTimer();
      this.#cancelTimer = clock.schedule(this.#restartMs, () => this.start());
      this.#restartMs = Math.min(this.#restartMs * 2, RESTART_MS_MAX);
    });
  }

  /** Lets a device's earlier reports count no more. */
  acknowledge(deviceId: string): void {
    if (this.#process === undefined) return;
    this.#acknowledged++;
    this.#process.send({ kind: "acknowledge", deviceId });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelTimer();
    this.#process?.kill();
    await this.#process?.exited;
  }

  #expectWord(): void {
    this.#cancelTimer();
    this.#cancelTimer = this.#options.clock.schedule(this.#silenceMsMax, () => {
      const problem = `The driver does not tell how the device is for [${this.#silenceMsMax}] ms.`;
      this.#options.onHealth(this.#devices.map(({ id }) => ({ id, problems: [problem], throttling: [] })));
      this.#process?.kill();
    });
  }
}
