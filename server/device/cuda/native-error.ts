/**
 * From the driver's result numbers to SluiceError: which code, whether the context is lost, and the sentence with the driver's own name.
 */
import { type ErrorCode, SluiceError } from "../../../shared/errors.ts";
import { CUresult } from "./constants.ts";
import { type CudaApi, errorName, errorText } from "./library.ts";

/** Results after which every later call in the context fails alike, whatever it is: the slice is lost. */
const stickyCodes = new Map<number, ErrorCode>([
  [CUresult.ILLEGAL_ADDRESS, "ILLEGAL_ADDRESS"],
  [CUresult.MISALIGNED_ADDRESS, "ILLEGAL_ADDRESS"],
  [CUresult.INVALID_ADDRESS_SPACE, "ILLEGAL_ADDRESS"],
  [CUresult.LAUNCH_TIMEOUT, "KERNEL_TIMEOUT"],
  [CUresult.ASSERT, "KERNEL_TRAP"],
  [CUresult.ILLEGAL_INSTRUCTION, "KERNEL_TRAP"],
  [CUresult.HARDWARE_STACK_ERROR, "KERNEL_TRAP"],
  [CUresult.INVALID_PC, "KERNEL_TRAP"],
  [CUresult.LAUNCH_FAILED, "KERNEL_TRAP"],
  [CUresult.TENSOR_MEMORY_LEAK, "KERNEL_TRAP"],
  [CUresult.ECC_UNCORRECTABLE, "DEVICE_FAILED"],
  [CUresult.NVLINK_UNCORRECTABLE, "DEVICE_FAILED"],
  [CUresult.CONTAINED, "DEVICE_FAILED"],
  [CUresult.CONTEXT_IS_DESTROYED, "DEVICE_FAILED"],
  [CUresult.DEVICE_UNAVAILABLE, "DEVICE_FAILED"],
  [CUresult.EXTERNAL_DEVICE, "DEVICE_FAILED"],
  [CUresult.UNKNOWN, "DEVICE_FAILED"],
]);

const codes = new Map<number, ErrorCode>([
  ...stickyCodes,
  [CUresult.OUT_OF_MEMORY, "OUT_OF_MEMORY"],
  [CUresult.INVALID_IMAGE, "BAD_IMAGE"],
  [CUresult.NO_BINARY_FOR_GPU, "BAD_IMAGE"],
  [CUresult.INVALID_PTX, "BAD_IMAGE"],
  [CUresult.UNSUPPORTED_PTX_VERSION, "BAD_IMAGE"],
  [CUresult.JIT_COMPILER_NOT_FOUND, "BAD_IMAGE"],
  [CUresult.JIT_COMPILATION_DISABLED, "BAD_IMAGE"],
  [CUresult.INVALID_SOURCE, "BAD_IMAGE"],
  [CUresult.SHARED_OBJECT_SYMBOL_NOT_FOUND, "BAD_IMAGE"],
  [CUresult.SHARED_OBJECT_INIT_FAILED, "BAD_IMAGE"],
  [CUresult.LAUNCH_OUT_OF_RESOURCES, "BAD_LAUNCH"],
  [CUresult.COOPERATIVE_LAUNCH_TOO_LARGE, "BAD_LAUNCH"],
]);

/** Whether a result means that the context, and with it the slice, is lost. */
export const isSticky = (result: number): boolean => stickyCodes.has(result);

const openings: Partial<Record<ErrorCode, string>> = {
  ILLEGAL_ADDRESS: "A kernel uses an address that it may not",
  KERNEL_TIMEOUT: "A kernel runs longer than the driver allows",
  KERNEL_TRAP: "A kernel stops on a trap, a failed assertion or another exception of its own",
};

/**
 * The error for a driver result. `doing` says what was asked for, as the end of "The driver fails to …".
 * `otherwise` is the code for results that say nothing by themselves; default DEVICE_FAILED.
 */
export function nativeError(
  api: CudaApi,
  result: number,
  { doing, otherwise = "DEVICE_FAILED" }: { doing: string; otherwise?: ErrorCode },
): SluiceError {
  const code = codes.get(result) ?? otherwise;
  const nativeName = errorName(api, result);
  // A sticky error belongs to an earlier kernel, so what is being done now would mislead.
  const opening = openings[code] ?? (isSticky(result) ? "The device fails" : `The driver fails to ${doing}`);
  return new SluiceError(code, `${opening} [${nativeName}: ${errorText(api, result)}].`, {
    nativeCode: result,
    nativeName,
  });
}
