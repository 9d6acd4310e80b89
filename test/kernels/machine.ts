/**
 * What a kernel case needs of a device, and no more: so that the same cases run over a device slice in this process, over
 * the client library against a server, and on a real card. Everything is asynchronous; failures are SluiceErrors.
 */

/** A range of device memory. */
export interface KernelBuffer {
  /** Device address of the first byte. */
  readonly address: number;
  readonly byteCount: number;
}

/** A buffer passes its address; any view passes its bytes, which are exactly as many as the parameter has. */
export type KernelArgument = KernelBuffer | ArrayBufferView;

export interface KernelLaunch {
  readonly kernel: string;
  readonly grid: number | readonly [number, number, number];
  readonly block: number | readonly [number, number, number];
  readonly sharedBytes?: number;
  readonly args: readonly KernelArgument[];
}

export interface KernelProgram {
  launch(launch: KernelLaunch): Promise<void>;
}

export interface KernelMachine {
  /** Size of the memory in bytes, and its first address: what the fault cases step out of. */
  readonly arenaBase: number;
  readonly arenaBytes: number;
  /** Real hardware tells some stray accesses by another exception than that of an illegal address. Default false. */
  readonly isHardware?: boolean;
  load(ptx: Uint8Array): Promise<KernelProgram>;
  /** Memory aligned to at least 256 bytes. */
  alloc(byteCount: number): Promise<KernelBuffer>;
  write(buffer: KernelBuffer, data: ArrayBufferView): Promise<void>;
  /** Fills `into` from the buffer's start, after all work before it. */
  read(buffer: KernelBuffer, into: ArrayBufferView): Promise<void>;
  synchronize(): Promise<void>;
  /** All that kernels have printed so far; complete after `synchronize`. */
  output(): string;
}

/** One kernel held against an independent reference. */
export interface KernelCase {
  readonly name: string;
  /** File under test/kernels/ptx, without its ending. */
  readonly ptx: string;
  /** The case ends with a failed kernel, so that the machine is of no use afterwards. */
  readonly spoils?: boolean;
  /** The machine must end a kernel after this time. Absent: a bound that no case reaches (60 s or none). */
  readonly kernelTimeoutMs?: number;
  /** Why real hardware need not give what the case asks: it holds the cpu device alone. Absent: the case is for every device. */
  readonly notOnHardware?: string;
  /** Throws when anything is not as it should be. */
  run(machine: KernelMachine): Promise<void>;
}
