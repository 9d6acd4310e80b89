/** What a session must know of calls and of failures beside their functions. */
import type { SluiceError } from "../../shared/errors.ts";
import { Opcode } from "../../shared/generated/calls.ts";

/** Calls that write to no device's memory. What is lent to answers is copied before any other runs. */
export const readingCalls: ReadonlySet<number> = new Set([
  Opcode.copyFromDevice,
  Opcode.copyFromDeviceStaged,
  Opcode.streamSynchronize,
  Opcode.streamQuery,
  Opcode.eventRecord,
  Opcode.eventSynchronize,
  Opcode.eventQuery,
  Opcode.deviceSynchronize,
  Opcode.memoryInfo,
  Opcode.multiplyPrepare,
]);

/** Failures of a kernel or a device end the session's work also when a call with an answer meets them. */
export const poisoning: ReadonlySet<string> = new Set([
  "ILLEGAL_ADDRESS",
  "KERNEL_TIMEOUT",
  "KERNEL_TRAP",
  "DEVICE_FAILED",
]);

const refusable: ReadonlySet<number> = new Set([Opcode.multiply, Opcode.recordingReplay]);
const refusals: ReadonlySet<string> = new Set(["UNSUPPORTED", "OUT_OF_MEMORY"]);

/**
 * Whether a call that has no answer is answered with its failure all the same, and the session goes on: whether a product can be computed is for
 * libraries of the server, and nobody can know before.
 */
export const isRefusal = (opcode: number, { code }: SluiceError): boolean =>
  refusable.has(opcode) && refusals.has(code);
