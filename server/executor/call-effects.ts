/** What a session must know of calls and of failures beside their functions. */
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
