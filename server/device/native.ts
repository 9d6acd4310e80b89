/**
 * koffi, through which all native functions are called, set up before its first use. It runs every call on a stack of its own, by default 2 MiB
 * for calls that are waited for and 128 KiB for others; compilers inside such calls (the driver's for PTX, NVRTC) count on what threads have.
 */
import koffi from "koffi";

/** What the main thread of a process has by default on Linux. Only what is touched takes memory. */
const STACK_BYTES = 8 * 1024 * 1024;

try {
  koffi.config({ sync_stack_size: STACK_BYTES, async_stack_size: STACK_BYTES });
} catch {
  // Somebody else in this process has used koffi already, such as a client of the library. An executor begins here.
}

export default koffi;
