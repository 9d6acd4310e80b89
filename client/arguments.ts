/**
 * Kernel arguments: checked against the kernel's parameters and packed straight into the batch. This is the hot path of a launch,
 * so the layout is prepared once per kernel, and words about a mistake are made only when there is one.
 */
import { SluiceError } from "../shared/errors.ts";
import type { KernelInfo, ParamInfo } from "../shared/generated/calls.ts";
import { PARAM_BYTES_MAX } from "../shared/limits.ts";
import { padTo8, protocolError, type WireBuffer } from "../shared/wire/wire-buffer.ts";
import { BufferView, DeviceBuffer } from "./buffer.ts";
import type { DeviceContext } from "./context.ts";

/** What a kernel takes: numbers, 64-bit integers, buffers or places in them, and bytes for a struct passed by value. */
export type KernelArgument = number | bigint | DeviceBuffer | BufferView | ArrayBufferView;

/** ParamInfo.type of the table of calls. */
const ParamType = { UNKNOWN: 0, UNSIGNED: 1, SIGNED: 2, FLOAT: 3, BYTES: 4, POINTER: 5 } as const;

/** How a number is written; NONE takes no numbers. */
const Form = { NONE: 0, INTEGER_8: 1, INTEGER_16: 2, INTEGER_32: 3, INTEGER_64: 4, FLOAT_32: 5, FLOAT_64: 6 } as const;
type Form = (typeof Form)[keyof typeof Form];

interface Slot {
  readonly offset: number;
  readonly size: number;
  readonly form: Form;
  /** Whether the parameter is a signed integer for sure. C's `int` is `.u32` in PTX: unsigned ones take negative numbers too. */
  readonly signed: boolean;
  /** Whether a 64-bit address or integer fits. */
  readonly wide: boolean;
  readonly info: ParamInfo;
}

export interface ArgumentPlan {
  readonly kernel: string;
  readonly slots: readonly Slot[];
  readonly paramBytes: number;
  /** Words to clear first: the parameters leave gaps. 0 when there are none. */
  readonly clearWords: number;
}

function formOf(info: ParamInfo): Form {
  if (info.offset % info.size !== 0) return Form.NONE;
  if (info.type === ParamType.FLOAT)
    return info.size === 4 ? Form.FLOAT_32 : info.size === 8 ? Form.FLOAT_64 : Form.NONE;
  if (info.type !== ParamType.UNSIGNED && info.type !== ParamType.SIGNED && info.type !== ParamType.POINTER)
    return Form.NONE;
  if (info.size === 8) return Form.INTEGER_64;
  if (info.size === 4) return Form.INTEGER_32;
  return info.size === 2 ? Form.INTEGER_16 : info.size === 1 ? Form.INTEGER_8 : Form.NONE;
}

/** @throws SluiceError PROTOCOL_ERROR for a layout that no kernel has. */
export function planArguments(kernel: KernelInfo): ArgumentPlan {
  const { paramBytes } = kernel;
  if (paramBytes > PARAM_BYTES_MAX) throw protocolError(`The kernel [${kernel.name}] takes [${paramBytes}] bytes.`);
  let covered = 0;
  const slots = kernel.params.map((info): Slot => {
    if (info.size < 1 || info.offset + info.size > paramBytes) {
      throw protocolError(`A parameter of the kernel [${kernel.name}] passes the end of its [${paramBytes}] bytes.`);
    }
    covered += info.size;
    const wide =
      info.size === 8 && info.offset % 8 === 0 && info.type !== ParamType.FLOAT && info.type !== ParamType.BYTES;
    return {
      offset: info.offset,
      size: info.size,
      form: formOf(info),
      signed: info.type === ParamType.SIGNED,
      wide,
      info,
    };
  });
  return { kernel: kernel.name, slots, paramBytes, clearWords: covered === paramBytes ? 0 : padTo8(paramBytes) >> 2 };
}

/**
 * Writes the parameter block at byte `at`, a multiple of 8, where there is room for it.
 * @throws SluiceError BAD_KERNEL_ARGUMENTS naming kernel, argument, what is expected and what is given.
 */
export function packArguments(
  plan: ArgumentPlan,
  args: readonly KernelArgument[],
  to: { readonly buffer: WireBuffer; readonly at: number; readonly context: DeviceContext },
): void {
  const { slots } = plan;
  const { buffer, at } = to;
  if (args.length !== slots.length) {
    throw bad(`The kernel [${plan.kernel}] takes [${slots.length}] arguments, and [${args.length}] are given.`);
  }
  for (let word = 0; word < plan.clearWords; word++) buffer.u32[(at >> 2) + word] = 0;
  for (let index = 0; index < slots.length; index++) {
    const slot = slots[index]!;
    const arg = args[index]!;
    const place = at + slot.offset;
    let fits: boolean;
    if (typeof arg === "number") fits = packNumber(buffer, place, { slot, value: arg });
    else if (arg instanceof DeviceBuffer)
      fits = packAddress(buffer, place, { slot, owner: arg, context: to.context, offset: 0 });
    else if (typeof arg === "bigint") fits = packBigint(buffer, place, { slot, value: arg });
    else if (arg instanceof BufferView) {
      fits = packAddress(buffer, place, { slot, owner: arg.buffer, context: to.context, offset: arg.offset });
    } else fits = ArrayBuffer.isView(arg) && packBytes(buffer, place, { slot, bytes: arg });
    if (!fits) throw mismatch(plan, { index, given: arg, context: to.context });
  }
}

function packNumber(buffer: WireBuffer, place: number, { slot, value }: { slot: Slot; value: number }): boolean {
  switch (slot.form) {
    case Form.FLOAT_32:
      buffer.f32[place >> 2] = value;
      // An infinity is passed on, but no number becomes one silently.
      return Number.isFinite(buffer.f32[place >> 2]!) || !Number.isFinite(value);
    case Form.INTEGER_32:
      buffer.u32[place >> 2] = value;
      return (value | 0) === value || (!slot.signed && value >>> 0 === value);
    case Form.INTEGER_64:
      buffer.u32[place >> 2] = value;
      buffer.u32[(place >> 2) + 1] = Math.floor(value / 0x1_0000_0000);
      return Number.isSafeInteger(value);
    case Form.FLOAT_64:
      buffer.f64[place >> 3] = value;
      return true;
    case Form.INTEGER_16:
    case Form.INTEGER_8: {
      const range = slot.form === Form.INTEGER_16 ? 0x1_0000 : 0x100;
      buffer.u8[place] = value;
      if (slot.form === Form.INTEGER_16) buffer.u8[place + 1] = value >> 8;
      return Number.isInteger(value) && value >= -range / 2 && value < (slot.signed ? range / 2 : range);
    }
    default:
      return false;
  }
}

function packBigint(buffer: WireBuffer, place: number, { slot, value }: { slot: Slot; value: bigint }): boolean {
  if (!slot.wide) return false;
  buffer.u32[place >> 2] = Number(BigInt.asUintN(32, value));
  buffer.u32[(place >> 2) + 1] = Number(BigInt.asUintN(32, value >> 32n));
  return BigInt.asIntN(64, value) === value || (!slot.signed && BigInt.asUintN(64, value) === value);
}

function packAddress(
  buffer: WireBuffer,
  place: number,
  given: { slot: Slot; owner: DeviceBuffer; context: DeviceContext; offset: number },
): boolean {
  const { owner } = given;
  if (!given.slot.wide || given.slot.signed || owner.freed || owner.context !== given.context) return false;
  const address = owner.address + given.offset;
  buffer.u32[place >> 2] = address;
  buffer.u32[(place >> 2) + 1] = Math.floor(address / 0x1_0000_0000);
  return true;
}

function packBytes(
  buffer: WireBuffer,
  place: number,
  { slot, bytes }: { slot: Slot; bytes: ArrayBufferView },
): boolean {
  if (bytes.byteLength !== slot.size) return false;
  buffer.u8.set(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength), place);
  return true;
}

const bad = (message: string): SluiceError => new SluiceError("BAD_KERNEL_ARGUMENTS", message);

function mismatch(
  plan: ArgumentPlan,
  at: { readonly index: number; readonly given: KernelArgument; readonly context: DeviceContext },
): SluiceError {
  const { given, index } = at;
  const what = `The kernel [${plan.kernel}], argument [${index}],`;
  const buffer = given instanceof BufferView ? given.buffer : given;
  if (buffer instanceof DeviceBuffer && buffer.freed) {
    return new SluiceError("CLOSED", `${what} is a buffer of [${buffer.byteLength}] bytes that is freed.`);
  }
  if (buffer instanceof DeviceBuffer && buffer.context !== at.context) {
    return bad(
      `${what} is a buffer of the device [${buffer.context.deviceId}] in the lease [${buffer.context.leaseId}]; ` +
        `the kernel is on [${at.context.deviceId}] in [${at.context.leaseId}].`,
    );
  }
  return bad(`${what} is ${expectation(plan.slots[index]!)}, and ${describe(given)} is given.`);
}

function expectation(slot: Slot): string {
  const { size, form, signed } = slot;
  if (form === Form.FLOAT_32 || form === Form.FLOAT_64) return `a float of [${size}] bytes`;
  if (slot.info.type === ParamType.POINTER) return "a pointer: a buffer, or buffer.at(offset)";
  if (form !== Form.NONE) {
    const lowest = -(2n ** BigInt(size * 8 - 1));
    const highest = 2n ** BigInt(size * 8 - (signed ? 1 : 0)) - 1n;
    return `an integer of [${size}] bytes, [${lowest}] to [${highest}]${slot.wide && !signed ? ", or a buffer" : ""}`;
  }
  const bytes = `[${size}] bytes as an ArrayBufferView`;
  if (slot.info.type === ParamType.UNKNOWN) {
    return `of a type that the server does not know, so it is given as ${bytes}${slot.wide ? ", a bigint or a buffer" : ""}`;
  }
  return `[${size}] bytes as an ArrayBufferView`;
}

function describe(given: unknown): string {
  if (typeof given === "number") return `the number [${given}]`;
  if (typeof given === "bigint") return `the bigint [${given}n]`;
  if (given instanceof DeviceBuffer || given instanceof BufferView) return "a buffer";
  if (ArrayBuffer.isView(given)) return `[${given.byteLength}] bytes`;
  if (Array.isArray(given)) return "an array";
  return given === null || given === undefined ? `[${given}]` : `a value of the type [${typeof given}]`;
}
