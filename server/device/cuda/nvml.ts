/**
 * NVML, `libnvidia-ml.so.1`, through koffi: what the driver tells an admin about a device, without a context. Every question may go
 * unanswered (old card, no permission, no library), so every answer may be undefined. `SLUICE_NVML_LIBRARY` names another library file.
 */
import {
  NVML_ECC_UNCORRECTED,
  NVML_ECC_VOLATILE,
  NVML_EVENT_XID,
  NVML_NVLINK_LINKS_MAX,
  NVML_P2P_CAPS_NVLINK,
  NVML_PROCESSES_MAX,
  NVML_STRUCT_V2,
  NVML_TEMPERATURE_GPU,
  NVML_VALUE_NOT_AVAILABLE,
  NvmlReturn,
} from "./constants.ts";
import { nativeTypes, openDriver, type Signatures } from "./symbols.ts";

/** Every function that is used, with the kinds of its arguments. */
export const nvmlSignatures = {
  nvmlInit_v2: [],
  nvmlSystemGetDriverVersion: ["memory", "u32"],
  nvmlDeviceGetCount_v2: ["memory"],
  nvmlDeviceGetHandleByIndex_v2: ["u32", "memory"],
  nvmlDeviceGetHandleByUUID: ["text", "memory"],
  nvmlDeviceGetDeviceHandleFromMigDeviceHandle: ["u64", "memory"],
  nvmlDeviceGetMemoryInfo_v2: ["u64", "memory"],
  nvmlDeviceGetComputeRunningProcesses_v3: ["u64", "memory", "memory"],
  nvmlDeviceGetTemperature: ["u64", "i32", "memory"],
  nvmlDeviceGetPowerUsage: ["u64", "memory"],
  nvmlDeviceGetUtilizationRates: ["u64", "memory"],
  nvmlDeviceGetCurrentClocksEventReasons: ["u64", "memory"],
  nvmlDeviceGetTotalEccErrors: ["u64", "i32", "i32", "memory"],
  nvmlDeviceGetRemappedRows: ["u64", "memory", "memory", "memory", "memory"],
  nvmlDeviceGetEccMode: ["u64", "memory", "memory"],
  nvmlDeviceGetMigMode: ["u64", "memory", "memory"],
  nvmlDeviceGetP2PStatus: ["u64", "u64", "i32", "memory"],
  nvmlDeviceGetNvLinkState: ["u64", "u32", "memory"],
  nvmlDeviceGetNvLinkRemotePciInfo_v2: ["u64", "u32", "memory"],
  nvmlEventSetCreate: ["memory"],
  nvmlDeviceRegisterEvents: ["u64", "u64", "u64"],
  nvmlEventSetWait_v2: ["u64", "memory", "u32"],
} as const satisfies Signatures;

type NvmlName = keyof typeof nvmlSignatures;
type NvmlValue = number | bigint | string | ArrayBufferView | null;
type NvmlFunction = (...values: NvmlValue[]) => number;
/** Finds a function of the library; undefined when it has none of that name. */
type Find = (name: NvmlName) => NvmlFunction | undefined;

/** Sizes of the structs in nvml.h, and offsets in them, in bytes. */
export const nvmlLayouts = {
  nvmlMemory_v2_t: { size: 40, version: 0, total: 8, reserved: 16, used: 32 },
  nvmlProcessInfo_t: { size: 24, pid: 0, usedGpuMemory: 8 },
  nvmlUtilization_t: { size: 8, gpu: 0 },
  nvmlPciInfo_t: { size: 68, busId: 36 },
  nvmlEventData_t: { size: 32, device: 0, eventType: 8, eventData: 16 },
} as const;

/** A device as NVML knows it. */
export interface NvmlDevice {
  readonly handle: number;
  /** The card that an instance (MIG) is a part of, which alone can be asked how it is; of a whole card the same. */
  readonly card: number;
}

export interface MonitoredDevice {
  readonly nvml: Nvml;
  readonly device: NvmlDevice;
}

export interface NvmlMemory {
  readonly totalBytes: number;
  readonly reservedBytes: number;
  readonly usedBytes: number;
}

const loaded = new Map<string, Nvml | undefined>();

/** The library that is asked for. */
export const nvmlPath = (): string => process.env["SLUICE_NVML_LIBRARY"] || "libnvidia-ml.so.1";

const cString = (bytes: Buffer): string => bytes.toString("latin1").split("\0")[0]!;

export class Nvml {
  readonly #find: Find;
  readonly #found = new Map<NvmlName, NvmlFunction | undefined>();
  #xidEvents: { readonly set: number; readonly watched: Set<number> } | undefined;

  private constructor(find: Find) {
    this.#find = find;
  }

  /** Loads and initialises NVML, once per process and path; undefined where there is none or it may not be used. */
  static load(): Nvml | undefined {
    const path = nvmlPath();
    if (!loaded.has(path)) loaded.set(path, Nvml.#load(path));
    return loaded.get(path);
  }

  /** NVML with the device of that UUID; undefined where it is not there, or does not show it. */
  static showing(uuid: string): MonitoredDevice | undefined {
    const nvml = Nvml.load();
    const device = nvml?.device(uuid);
    return nvml === undefined || device === undefined || "status" in device ? undefined : { nvml, device };
  }

  static #load(path: string): Nvml | undefined {
    const opened = openDriver(path);
    if ("failure" in opened) return undefined;
    const nvml = new Nvml((name) => {
      try {
        return opened.handle.func(
          name,
          "int",
          nvmlSignatures[name].map((kind) => nativeTypes[kind]),
        );
      } catch {
        // An older library lacks the younger questions.
        return undefined;
      }
    });
    return nvml.#call("nvmlInit_v2") === NvmlReturn.SUCCESS ? nvml : undefined;
  }

  /** Version of the driver, such as `580.65.06`. */
  driverVersion(): string | undefined {
    const text = Buffer.alloc(80);
    return this.#succeeds("nvmlSystemGetDriverVersion", text, text.length) ? cString(text) : undefined;
  }

  /** Whether each of the machine's cards is cut into MIG instances, as far as this process sees them. */
  cards(): boolean[] {
    const count = this.#number("nvmlDeviceGetCount_v2") ?? 0;
    return Array.from({ length: count }, (_, index) => {
      const handle = new BigUint64Array(1);
      if (!this.#succeeds("nvmlDeviceGetHandleByIndex_v2", index, handle)) return false;
      const card = Number(handle[0]);
      return this.mig({ handle: card, card }) === true;
    });
  }

  /**
   * The device with a UUID such as `GPU-…`, or the status with which NVML refuses to show it. An instance of a device (MIG) has the same form in
   * the driver and another prefix here.
   */
  device(uuid: string): NvmlDevice | { status: number } {
    const handle = new BigUint64Array(1);
    const ask = (name: string): number => this.#call("nvmlDeviceGetHandleByUUID", name, handle);
    const status = ask(uuid);
    if (status === NvmlReturn.SUCCESS) return { handle: Number(handle[0]), card: Number(handle[0]) };
    if (status !== NvmlReturn.NOT_FOUND || ask(uuid.replace(/^GPU-/, "MIG-")) !== NvmlReturn.SUCCESS) return { status };
    const card = new BigUint64Array(1);
    const instance = Number(handle[0]);
    const hasCard = this.#succeeds("nvmlDeviceGetDeviceHandleFromMigDeviceHandle", instance, card);
    return { handle: instance, card: hasCard ? Number(card[0]) : instance };
  }

  memory(device: NvmlDevice): NvmlMemory | undefined {
    const { size, version, total, reserved, used } = nvmlLayouts.nvmlMemory_v2_t;
    const memory = new DataView(new ArrayBuffer(size));
    memory.setUint32(version, size | NVML_STRUCT_V2, true);
    if (!this.#succeeds("nvmlDeviceGetMemoryInfo_v2", device.handle, memory)) return undefined;
    const bytes = (offset: number): number => Number(memory.getBigUint64(offset, true));
    return { totalBytes: bytes(total), reservedBytes: bytes(reserved), usedBytes: bytes(used) };
  }

  /** Who has memory of the device, as far as NVML shows it, and how much where it tells that, in bytes; undefined where it does not. */
  processes(device: NvmlDevice): { pid: number; bytes: number | undefined }[] | undefined {
    const { size, pid, usedGpuMemory } = nvmlLayouts.nvmlProcessInfo_t;
    const count = Uint32Array.of(NVML_PROCESSES_MAX);
    const all = new DataView(new ArrayBuffer(NVML_PROCESSES_MAX * size));
    if (!this.#succeeds("nvmlDeviceGetComputeRunningProcesses_v3", device.handle, count, all)) return undefined;
    return Array.from({ length: count[0]! }, (_, index) => {
      const used = all.getBigUint64(index * size + usedGpuMemory, true);
      const bytes = used === NVML_VALUE_NOT_AVAILABLE ? undefined : Number(used);
      return { pid: all.getUint32(index * size + pid, true), bytes };
    });
  }

  temperatureCelsius(device: NvmlDevice): number | undefined {
    return this.#number("nvmlDeviceGetTemperature", device.card, NVML_TEMPERATURE_GPU);
  }

  powerWatts(device: NvmlDevice): number | undefined {
    const milliwatts = this.#number("nvmlDeviceGetPowerUsage", device.card);
    return milliwatts === undefined ? undefined : milliwatts / 1000;
  }

  /** Part of the last sample period in which a kernel ran, 0 to 1. */
  utilization(device: NvmlDevice): number | undefined {
    const { size, gpu } = nvmlLayouts.nvmlUtilization_t;
    const percent = new DataView(new ArrayBuffer(size));
    return this.#succeeds("nvmlDeviceGetUtilizationRates", device.handle, percent)
      ? percent.getUint32(gpu, true) / 100
      : undefined;
  }

  /** Bits of nvmlClocksEventReasons. */
  clockReasons(device: NvmlDevice): number | undefined {
    return this.#long("nvmlDeviceGetCurrentClocksEventReasons", device.card);
  }

  /** Uncorrected memory errors since the driver was loaded. */
  uncorrectedErrors(device: NvmlDevice): number | undefined {
    const name = "nvmlDeviceGetTotalEccErrors";
    return this.#long(name, device.card, NVML_ECC_UNCORRECTED, NVML_ECC_VOLATILE);
  }

  /** Whether replacing bad memory rows has failed; then the device needs a repair. */
  remapFailed(device: NvmlDevice): boolean | undefined {
    const [corrected, uncorrected, pending, failed] = Array.from({ length: 4 }, () => new Uint32Array(1));
    const values = [device.card, corrected!, uncorrected!, pending!, failed!];
    const name = "nvmlDeviceGetRemappedRows";
    return this.#succeeds(name, ...values) ? failed![0] === 1 : undefined;
  }

  /** Whether ECC is on. */
  ecc(device: NvmlDevice): boolean | undefined {
    return this.#mode("nvmlDeviceGetEccMode", device);
  }

  /** Whether the card is cut into MIG instances. */
  mig(device: NvmlDevice): boolean | undefined {
    return this.#mode("nvmlDeviceGetMigMode", device);
  }

  /** The state of the device as the status of a plain question: GPU_IS_LOST and RESET_REQUIRED mean that it is gone. */
  status(device: NvmlDevice): number {
    const value = new Uint32Array(1);
    return this.#call("nvmlDeviceGetTemperature", device.card, NVML_TEMPERATURE_GPU, value);
  }

  /** Whether two devices reach each other over NVLink, directly or through a switch. */
  joinedByNvlink(a: NvmlDevice, b: NvmlDevice): boolean {
    const status = new Int32Array(1);
    const name = "nvmlDeviceGetP2PStatus";
    return this.#succeeds(name, a.handle, b.handle, NVML_P2P_CAPS_NVLINK, status) && status[0] === 0;
  }

  /** PCI addresses, as NVML writes them, at the far ends of the device's active NVLinks. A switch has one too. */
  nvlinkPeers(device: NvmlDevice): string[] {
    const peers: string[] = [];
    for (let link = 0; link < NVML_NVLINK_LINKS_MAX; link++) {
      if (this.#number("nvmlDeviceGetNvLinkState", device.handle, link) !== 1) continue;
      const { size, busId } = nvmlLayouts.nvmlPciInfo_t;
      const info = Buffer.alloc(size);
      const name = "nvmlDeviceGetNvLinkRemotePciInfo_v2";
      if (this.#succeeds(name, device.handle, link, info)) peers.push(cString(info.subarray(busId)));
    }
    return peers;
  }

  /** Xid errors of cards since the last call, of all devices ever passed here. */
  takeXids(devices: readonly NvmlDevice[]): { card: number; xid: number }[] {
    const events = this.#watchXids(devices);
    const xids: { card: number; xid: number }[] = [];
    if (events === undefined) return xids;
    const { size, device, eventType, eventData } = nvmlLayouts.nvmlEventData_t;
    const data = new DataView(new ArrayBuffer(size));
    const word = (offset: number): number => Number(data.getBigUint64(offset, true));
    // Bounded, so that a device which reports without end cannot hold up the daemon.
    for (let count = 0; count < 64; count++) {
      if (!this.#succeeds("nvmlEventSetWait_v2", events.set, data, 0)) break;
      if (word(eventType) === NVML_EVENT_XID) xids.push({ card: word(device), xid: word(eventData) });
    }
    return xids;
  }

  #watchXids(devices: readonly NvmlDevice[]): { readonly set: number } | undefined {
    if (this.#xidEvents === undefined) {
      const set = new BigUint64Array(1);
      if (!this.#succeeds("nvmlEventSetCreate", set)) return undefined;
      this.#xidEvents = { set: Number(set[0]), watched: new Set() };
    }
    const { set, watched } = this.#xidEvents;
    for (const { card } of devices) {
      if (watched.has(card)) continue;
      watched.add(card);
      this.#call("nvmlDeviceRegisterEvents", card, NVML_EVENT_XID, set);
    }
    return this.#xidEvents;
  }

  #mode(name: NvmlName, device: NvmlDevice): boolean | undefined {
    const now = new Uint32Array(1);
    const pending = new Uint32Array(1);
    const asked = this.#succeeds(name, device.card, now, pending);
    return asked ? now[0] === 1 : undefined;
  }

  #number(name: NvmlName, ...values: NvmlValue[]): number | undefined {
    const value = new Uint32Array(1);
    return this.#succeeds(name, ...values, value) ? value[0] : undefined;
  }

  #long(name: NvmlName, ...values: NvmlValue[]): number | undefined {
    const value = new BigUint64Array(1);
    return this.#succeeds(name, ...values, value) ? Number(value[0]) : undefined;
  }

  #succeeds(name: NvmlName, ...values: NvmlValue[]): boolean {
    return this.#call(name, ...values) === NvmlReturn.SUCCESS;
  }

  /** The status of a function, or FUNCTION_NOT_FOUND for one that the library lacks. */
  #call(name: NvmlName, ...values: NvmlValue[]): number {
    if (!this.#found.has(name)) this.#found.set(name, this.#find(name));
    return this.#found.get(name)?.(...values) ?? NvmlReturn.FUNCTION_NOT_FOUND;
  }
}
