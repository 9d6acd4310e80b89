/**
 * One parameter of a kernel as bytes: which values fit into it, how they are written, and what to say of one that does not fit. This is the hot
 * path of a launch. It knows no buffers: an address is a number here.
 */
import type { ParamInfo } from "../shared/generated/calls.ts";
import type { WireBuffer } from "../shared/wire/wire-buffer.ts";

/** ParamInfo.type of the table of calls. */
const ParamType = { UNKNOWN: 0, UNSIGNED: 1, SIGNED: 2, FLOAT: 3, BYTES: 4, POINTER: 5 } as const;

/** How a number is written; NONE takes no numbers. */
const Form = { NONE: 0, INTEGER_8: 1, INTEGER_16: 2, INTEGER_32: 3, INTEGER_64: 4, FLOAT_32: 5, FLOAT_64: 6 } as const;
type Form = (typeof Form)[keyof typeof Form];

export interface ArgumentSlot {
  readonly offset: number;
  readonly size: number;
  readonly form: Form;
  /** Whether the parameter is a signed integer for sure. C's `int` is `.u32` in PTX: unsigned ones take negative numbers too. */
  readonly signed: boolean;
  /** Whether a 64-bit address or integer fits. */
  readonly wide: boolean;
  readonly info: ParamInfo;
  /** Equal for slots that write a value alike. */
  readonly key: string;
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

export function slotOf(info: ParamInfo): ArgumentSlot {
  const { offset, size, type } = info;
  const form = formOf(info);
  const wide = size === 8 && offset % 8 === 0 && type !== ParamType.FLOAT && type !== ParamType.BYTES;
  return { offset, size, form, signed: type === ParamType.SIGNED, wide, info, key: `${form} ${size} ${type} ${wide}` };
}

/** The field of a call that holds an address. */
export const addressSlot: ArgumentSlot = slotOf({ offset: 0, size: 8, alignment: 8, type: ParamType.POINTER });

export function packNumber(
  buffer: WireBuffer,
  place: number,
  { slot, value }: { slot: ArgumentSlot; value: number },
): boolean {
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

export function packBigint(
  buffer: WireBuffer,
  place: number,
  { slot, value }: { slot: ArgumentSlot; value: bigint },
): boolean {
  if (!slot.wide) return false;
  buffer.u32[place >> 2] = Number(BigInt.asUintN(32, value));
  buffer.u32[(place >> 2) + 1] = Number(BigInt.asUintN(32, value >> 32n));
  return BigInt.asIntN(64, value) === value || (!slot.signed && BigInt.asUintN(64, value) === value);
}

export function packAddress(buffer: WireBuffer, place: number, address: number): void {
  buffer.u32[place >> 2] = address;
  buffer.u32[(place >> 2) + 1] = Math.floor(address / 0x1_0000_0000);
}

export function packBytes(
  buffer: WireBuffer,
  place: number,
  { slot, bytes }: { slot: ArgumentSlot; bytes: ArrayBufferView },
): boolean {
  if (bytes.byteLength !== slot.size) return false;
  buffer.u8.set(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength), place);
  return true;
}

/** What fits into a slot, in words. */
export function expectation(slot: ArgumentSlot): string {
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
