/**
 * Kernel arguments: checked against the kernel's parameters and packed straight into the batch. This is the hot path of a launch,
 * so the layout is prepared once per kernel, and words about a mistake are made only when there is one.
 */
import { SluiceError } from "../shared/errors.ts";
import type { KernelInfo } from "../shared/generated/calls.ts";
import { PARAM_BYTES_MAX } from "../shared/limits.ts";
import { padTo8, protocolError, type WireBuffer } from "../shared/wire/wire-buffer.ts";
import { BufferView, DeviceBuffer, needBuffer } from "./buffer.ts";
import type { DeviceContext } from "./context.ts";
import { ScalarParameter } from "./recorder.ts";
import { shown } from "./shown.ts";
import { type ArgumentSlot, expectation, packAddress, packBigint, packBytes, packNumber, slotOf } from "./slot.ts";
import { TexelObject } from "./texture.ts";

/**
 * What a kernel takes: numbers, 64-bit integers, buffers or places in them, textures, surfaces, bytes for a struct passed by value, and
 * parameters of a recording.
 */
export type KernelArgument =
  | number
  | bigint
  | DeviceBuffer
  | BufferView
  | TexelObject
  | ArrayBufferView
  | ScalarParameter;

export interface ArgumentPlan {
  readonly kernel: string;
  readonly slots: readonly ArgumentSlot[];
  readonly paramBytes: number;
  /** Words to clear first: the parameters leave gaps. 0 when there are none. */
  readonly clearWords: number;
}

/** @throws SluiceError PROTOCOL_ERROR for a layout that no kernel has. */
export function planArguments(kernel: KernelInfo): ArgumentPlan {
  const { paramBytes } = kernel;
  if (paramBytes > PARAM_BYTES_MAX) throw protocolError(`The kernel [${kernel.name}] takes [${paramBytes}] bytes.`);
  let covered = 0;
  const slots = kernel.params.map((info) => {
    if (info.size < 1 || info.offset + info.size > paramBytes) {
      throw protocolError(`A parameter of the kernel [${kernel.name}] passes the end of its [${paramBytes}] bytes.`);
    }
    covered += info.size;
    return slotOf(info);
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
  if (args?.length !== slots.length) {
    const given = Array.isArray(args) ? `[${args.length}] are given` : `[${shown(args)}] is given, and not a list`;
    throw bad(`The kernel [${plan.kernel}] takes [${slots.length}] arguments, and ${given}.`);
  }
  for (let word = 0; word < plan.clearWords; word++) buffer.u32[(at >> 2) + word] = 0;
  for (let index = 0; index < slots.length; index++) {
    const slot = slots[index]!;
    const arg = args[index]!;
    const place = at + slot.offset;
    const fits =
      typeof arg === "number"
        ? packNumber(buffer, place, { slot, value: arg })
        : packValue(buffer, place, { slot, value: arg, context: to.context, offset: 0 });
    if (!fits)
      throw mismatch({
        what: `The kernel [${plan.kernel}], argument [${index}],`,
        slot,
        given: arg,
        context: to.context,
      });
  }
}

/** Writes a value of any type that fits; `offset` is added to an address. */
export function packValue(
  buffer: WireBuffer,
  place: number,
  to: { slot: ArgumentSlot; value: KernelArgument; context: DeviceContext; offset: number },
): boolean {
  // Objects are written out here: copying them with `...` costs more than all the rest of a launch.
  const { slot, value, context, offset } = to;
  if (value instanceof DeviceBuffer) return packMemory(buffer, place, { slot, owner: value, context, offset });
  if (typeof value === "number") return packNumber(buffer, place, { slot, value });
  if (typeof value === "bigint") return packBigint(buffer, place, { slot, value });
  if (value instanceof BufferView) {
    return packMemory(buffer, place, { slot, owner: value.buffer, context, offset: value.offset + offset });
  }
  if (value instanceof TexelObject) {
    return (
      slot.wide && !slot.signed && value.isFor(context) && packBigint(buffer, place, { slot, value: value.object })
    );
  }
  if (value instanceof ScalarParameter) return packParameter(buffer, place, { slot, value, context });
  return ArrayBuffer.isView(value) && packBytes(buffer, place, { slot, bytes: value });
}

function packMemory(
  buffer: WireBuffer,
  place: number,
  given: { slot: ArgumentSlot; owner: DeviceBuffer; context: DeviceContext; offset: number },
): boolean {
  const { owner, slot, offset, context } = given;
  if (!slot.wide || slot.signed || owner.freed || owner.context !== context) return false;
  packAddress(buffer, place, owner.address + offset);
  const { recorder } = context.session;
  if (recorder === undefined) return true;
  if (owner.parameter === undefined) needBuffer(recorder, owner);
  else recorder.valueAt(place, { parameter: owner.parameter, form: slot, offset });
  return true;
}

/** A parameter of the recording that is being made; one of another, or outside of it, does not fit. */
function packParameter(
  buffer: WireBuffer,
  place: number,
  given: { slot: ArgumentSlot; value: ScalarParameter; context: DeviceContext },
): boolean {
  const { slot, value, context } = given;
  const { recorder } = context.session;
  if (recorder === undefined || recorder !== value.recorder) return false;
  recorder.valueAt(place, { parameter: value.name, form: slot });
  return packValue(buffer, place, { slot, value: value.value, context, offset: 0 });
}

const bad = (message: string): SluiceError => new SluiceError("BAD_KERNEL_ARGUMENTS", message);

/** The error for a value that does not fit; `what` says where it is given. */
export function mismatch(options: {
  readonly what: string;
  readonly slot: ArgumentSlot;
  readonly given: KernelArgument;
  readonly context: DeviceContext;
}): SluiceError {
  const { what, slot, given, context } = options;
  const buffer = given instanceof BufferView ? given.buffer : given;
  if (buffer instanceof DeviceBuffer && buffer.freed) {
    return new SluiceError("CLOSED", `${what} is a buffer of [${buffer.byteLength}] bytes that is freed.`);
  }
  if (given instanceof TexelObject && given.destroyed) {
    return new SluiceError("CLOSED", `${what} is a texture or surface that is destroyed.`);
  }
  const owned = given instanceof TexelObject ? given : buffer instanceof DeviceBuffer ? buffer : undefined;
  if (owned !== undefined && owned.context !== context) {
    return bad(
      `${what} is ${describe(given)} of the device [${owned.context.deviceId}] in the lease [${owned.context.leaseId}]; ` +
        `the kernel is on [${context.deviceId}] in [${context.leaseId}].`,
    );
  }
  const value = given instanceof ScalarParameter && given.recorder === context.session.recorder ? given.value : given;
  return bad(`${what} is ${expectation(slot)}, and ${describe(value)} is given.`);
}

function describe(given: unknown): string {
  if (typeof given === "number") return `the number [${given}]`;
  if (typeof given === "bigint") return `the bigint [${given}n]`;
  if (given instanceof DeviceBuffer || given instanceof BufferView) return "a buffer";
  if (given instanceof TexelObject) return "a texture or surface";
  if (given instanceof ScalarParameter) return `the parameter [${given.name}] of another recording`;
  if (ArrayBuffer.isView(given)) return `[${given.byteLength}] bytes`;
  if (Array.isArray(given)) return "an array";
  return given === null || given === undefined ? `[${given}]` : `a value of the type [${typeof given}]`;
}
