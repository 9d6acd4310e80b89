/**
 * The table of calls: the one description of what travels on the data plane. `generate.ts` turns it into the TypeScript
 * codec (shared/generated/calls.ts) and the tables of proto/README.md. Opcodes and fields are append-only: a released number never
 * changes its meaning. Any change alters the fingerprint, and the two ends of a connection must agree on it.
 */

/**
 * How a field is laid out. Scalars sit in the fixed part at their natural alignment. `bytes`, `string` (UTF-8) and lists hold
 * a u32 in the fixed part (byte count, or number of records) and their data in the tail, in field order, each padded to 8.
 */
export type FieldType =
  | "u32"
  | "i32"
  | "f32"
  | "u64"
  | "f64"
  | "bytes"
  | "string"
  | { readonly list: keyof typeof records };

/** Name, type and a sentence with the unit and the allowed range. */
export type Field = readonly [name: string, type: FieldType, doc: string];

export interface CallSpec {
  readonly opcode: number;
  readonly doc: string;
  /** Errors that this call itself may be answered with, or leave behind for the next answered call. */
  readonly errors: readonly string[];
  readonly fields: readonly Field[];
  /** The answer's fields. Absent: the call needs no answer, and its failure is told by the next call that does. */
  readonly answer?: readonly Field[];
}

export const PROTOCOL_VERSION = 2;

/** Records that appear in lists. Each is preceded in the tail by a u32 byte count (a multiple of 8) and four zero bytes. */
export const records = {
  DeviceAttribute: [
    ["attribute", "u32", "number of the attribute, as in CUdevice_attribute of cuda.h"],
    ["value", "i32", "its value"],
  ],
  ParamInfo: [
    ["offset", "u32", "byte offset in the packed parameter block"],
    ["size", "u32", "size in bytes"],
    ["alignment", "u32", "alignment in bytes, a power of two; 0 when not known"],
    ["type", "u32", "0 unknown, 1 unsigned integer, 2 signed integer, 3 float, 4 bytes (a struct by value), 5 pointer"],
  ],
  KernelInfo: [
    ["name", "string", "the entry's name, as mangled in the image"],
    ["params", { list: "ParamInfo" }, "the parameters in order"],
    ["paramBytes", "u32", "size of the packed parameter block in bytes"],
    ["threadsPerBlockMax", "u32", "largest number of threads in a block"],
    ["sharedBytes", "u32", "static shared memory per block in bytes"],
    ["localBytes", "u32", "local memory per thread in bytes"],
    ["constantBytes", "u32", "constant memory in bytes"],
    ["registers", "u32", "registers per thread"],
    ["ptxVersion", "u32", "virtual architecture that the PTX is for, as major * 10 + minor of its compute capability"],
    ["binaryVersion", "u32", "binary architecture as major * 10 + minor; 0 when none"],
  ],
  GlobalInfo: [
    ["name", "string", "the variable's name"],
    ["address", "u64", "device address"],
    ["byteCount", "u64", "size in bytes"],
  ],
  CompileOption: [["text", "string", "one option, such as `--use_fast_math` or `-DTILE=16`"]],
  RecordingPatch: [
    ["call", "u32", "index of the call in the recording"],
    [
      "offset",
      "u32",
      "byte offset in the call's body, a multiple of 4 unless inside `params`: of bytes inside `params` of launch, or of a whole field: destination, source or byteCount of copyOnDevice; address, count or value of fill; a, b, c, alpha or beta of multiply",
    ],
    ["byteCount", "u32", "how many bytes are replaced, 1 or more"],
    ["value", "u32", "byte offset in the values of a replay, a multiple of 8"],
  ],
} as const satisfies Record<string, readonly (readonly [string, FieldTypeLoose, string])[]>;

/** FieldType without the circular mention of `records`. */
type FieldTypeLoose = "u32" | "i32" | "f32" | "u64" | "f64" | "bytes" | "string" | { readonly list: string };

/** The payloads of frames other than CALLS and ANSWERS, and of a failed answer. */
export const messages = {
  Greeting: [
    ["protocolVersion", "u32", "version of the frame format"],
    ["fingerprint", "string", "fingerprint of the table of calls, 16 hexadecimal digits"],
    ["serverVersion", "string", "version of the server's package"],
    ["nonce", "bytes", "32 random bytes of the server"],
  ],
  Hello: [
    ["protocolVersion", "u32", "version of the frame format"],
    ["fingerprint", "string", "fingerprint of the table of calls, 16 hexadecimal digits"],
    ["clientVersion", "string", "version of the client, as `name/version`"],
    ["leaseId", "string", "the lease to work under"],
    ["sessionId", "bytes", "16 random bytes of the client that name the session"],
    ["nonce", "bytes", "32 random bytes of the client"],
    ["proof", "bytes", "HMAC-SHA256 of the lease's secret over `client`, server nonce, client nonce, session id"],
    [
      "resumeMs",
      "u32",
      "how long the session is to wait for its client when its connection breaks; 0: it ends with it",
    ],
    [
      "begun",
      "u32",
      "1 when the client has had a WELCOME for this session: it is resumed or refused, never begun anew",
    ],
    ["received", "u64", "number of the last counted frame received from the server in this session; 0 for none"],
  ],
  Welcome: [
    ["proof", "bytes", "HMAC-SHA256 of the lease's secret over `server`, client nonce, server nonce, session id"],
    ["executed", "u64", "sequence number of the last call executed in this session; 0 for a new one"],
    ["devices", "u32", "number of devices of the lease"],
    ["resumeMs", "u32", "how long the session waits for its client when its connection breaks; 0: it ends with it"],
    [
      "received",
      "u64",
      "sequence number of the last call received in this session: the client sends what comes behind it",
    ],
  ],
  Refusal: [
    ["code", "u32", "wire number of the error"],
    ["message", "string", "the error as a sentence"],
  ],
  Output: [["text", "string", "what kernels printed, in order"]],
  Failure: [
    ["sequence", "u64", "sequence number of the call that failed"],
    ["opcode", "u32", "opcode of the call that failed"],
    ["nativeCode", "i32", "the driver's own error number, or 0"],
    ["nativeName", "string", "the driver's own error name, or empty"],
    ["message", "string", "the error as a sentence"],
  ],
} as const satisfies Record<string, readonly Field[]>;

export const calls = {
  attach: {
    opcode: 1,
    doc: "Opens one device of the lease and returns all that is fixed about it, so that no later question about it needs a trip.",
    errors: ["NO_SUCH_DEVICE"],
    fields: [["device", "u32", "index of the device within the lease, from 0"]],
    answer: [
      ["arenaBase", "u64", "first address of the slice's arena"],
      ["arenaBytes", "u64", "size of the arena in bytes: exactly the slice"],
      ["granularityBytes", "u64", "alignment that the client must give every allocation"],
      ["capabilityMajor", "u32", "compute capability, major"],
      ["capabilityMinor", "u32", "compute capability, minor"],
      ["driverVersion", "u32", "CUDA driver API version as major * 1000 + minor * 10"],
      ["kind", "string", "`cpu`, `cuda` or `null`"],
      ["name", "string", "the device's name"],
      ["uuid", "string", "the device's id in the pool"],
      ["attributes", { list: "DeviceAttribute" }, "snapshot of the device attributes"],
      ["stagingPath", "string", "path of the session's staging file on the server's host; empty where there is none"],
      ["stagingName", "string", "what the link at that path says where it is this file"],
      ["stagingBytes", "u32", "size of the staging file in bytes"],
    ],
  },
  allocate: {
    opcode: 2,
    doc: "Tells the server that the client uses a range of the arena. The client chooses the range.",
    errors: ["ADDRESS_OUTSIDE_ARENA", "RANGE_IN_USE", "BAD_ARGUMENT", "TOO_MANY_HANDLES"],
    fields: [
      ["address", "u64", "first address, a multiple of the granularity"],
      ["byteCount", "u64", "size in bytes, 1 or more"],
    ],
  },
  free: {
    opcode: 3,
    doc: "Gives back a range told with `allocate`, in order behind all calls before it.",
    errors: ["NOT_ALLOCATED"],
    fields: [["address", "u64", "the address given to `allocate`"]],
  },
  copyToDevice: {
    opcode: 4,
    doc: "Writes bytes to device memory, within one allocation.",
    errors: ["ADDRESS_OUTSIDE_ARENA", "NOT_ALLOCATED", "NO_SUCH_HANDLE"],
    fields: [
      ["address", "u64", "first destination address"],
      ["stream", "u32", "stream handle, 0 for the default stream"],
      ["data", "bytes", "the bytes, at most CALL_DATA_BYTES_MAX"],
    ],
  },
  copyFromDevice: {
    opcode: 5,
    doc: "Reads bytes of device memory, within one allocation, after all work before it in its stream.",
    errors: ["ADDRESS_OUTSIDE_ARENA", "NOT_ALLOCATED", "NO_SUCH_HANDLE", "BAD_ARGUMENT"],
    fields: [
      ["address", "u64", "first source address"],
      ["byteCount", "u32", "number of bytes, at most CALL_DATA_BYTES_MAX"],
      ["stream", "u32", "stream handle, 0 for the default stream"],
    ],
    answer: [["data", "bytes", "the bytes"]],
  },
  copyOnDevice: {
    opcode: 6,
    doc: "Copies device memory to device memory, also between the devices of the lease. The ranges may overlap only if equal.",
    errors: ["ADDRESS_OUTSIDE_ARENA", "NOT_ALLOCATED", "NO_SUCH_HANDLE", "BAD_ARGUMENT"],
    fields: [
      ["destination", "u64", "first destination address"],
      ["source", "u64", "first source address"],
      ["byteCount", "u64", "number of bytes"],
      ["stream", "u32", "stream handle, 0 for the default stream"],
    ],
  },
  fill: {
    opcode: 7,
    doc: "Sets each element of a range to one value.",
    errors: ["ADDRESS_OUTSIDE_ARENA", "NOT_ALLOCATED", "NO_SUCH_HANDLE", "BAD_ARGUMENT"],
    fields: [
      ["address", "u64", "first address, a multiple of the width"],
      ["count", "u64", "number of elements"],
      ["width", "u32", "bytes per element: 1, 2 or 4"],
      ["value", "u32", "the value; bits above the width are ignored"],
      ["stream", "u32", "stream handle, 0 for the default stream"],
    ],
  },
  imageWrite: {
    opcode: 8,
    doc: "Carries one piece of a program image. Pieces come in order; the first, at offset 0, creates the image.",
    errors: ["BAD_ARGUMENT", "IMAGE_TOO_LARGE", "HANDLE_IN_USE", "NO_SUCH_HANDLE"],
    fields: [
      ["image", "u32", "image handle, invented by the client"],
      ["totalBytes", "u32", "size of the whole image in bytes, at most IMAGE_BYTES_MAX"],
      ["offset", "u32", "where this piece goes: the number of bytes sent before it"],
      ["data", "bytes", "the piece, at most CALL_DATA_BYTES_MAX"],
    ],
  },
  moduleLoad: {
    opcode: 9,
    doc: "Loads a complete image (PTX text, cubin or fatbin) on a device. The image is dropped afterwards, loaded or not.",
    errors: [
      "NO_SUCH_HANDLE",
      "NO_SUCH_DEVICE",
      "BAD_IMAGE",
      "UNSUPPORTED_INSTRUCTION",
      "OUT_OF_MEMORY",
      "HANDLE_IN_USE",
      "TOO_MANY_HANDLES",
      "IMAGE_TOO_LARGE",
    ],
    fields: [
      ["module", "u32", "module handle, invented by the client"],
      ["image", "u32", "image handle"],
      ["device", "u32", "index of the device within the lease"],
    ],
    answer: [
      ["kernels", { list: "KernelInfo" }, "every kernel; its position in this list is its index in `launch`"],
      ["globals", { list: "GlobalInfo" }, "every variable in global or constant memory of the module"],
    ],
  },
  moduleUnload: {
    opcode: 10,
    doc: "Unloads a module, in order behind all launches before it.",
    errors: ["NO_SUCH_HANDLE"],
    fields: [["module", "u32", "module handle"]],
  },
  launch: {
    opcode: 11,
    doc: "Runs a kernel.",
    errors: ["NO_SUCH_HANDLE", "NO_SUCH_KERNEL", "BAD_LAUNCH", "ILLEGAL_ADDRESS", "KERNEL_TIMEOUT", "KERNEL_TRAP"],
    fields: [
      ["module", "u32", "module handle"],
      ["kernel", "u32", "index of the kernel in the answer of `moduleLoad`"],
      ["gridX", "u32", "blocks along x, 1 to 2^31-1"],
      ["gridY", "u32", "blocks along y, 1 to 65535"],
      ["gridZ", "u32", "blocks along z, 1 to 65535"],
      ["blockX", "u32", "threads along x, 1 to 1024"],
      ["blockY", "u32", "threads along y, 1 to 1024"],
      ["blockZ", "u32", "threads along z, 1 to 64"],
      ["sharedBytes", "u32", "dynamic shared memory per block in bytes"],
      ["stream", "u32", "stream handle, 0 for the default stream"],
      ["params", "bytes", "the packed parameter block: exactly the kernel's paramBytes"],
    ],
  },
  streamCreate: {
    opcode: 12,
    doc: "Creates a stream.",
    errors: ["NO_SUCH_DEVICE", "HANDLE_IN_USE", "TOO_MANY_HANDLES"],
    fields: [
      ["stream", "u32", "stream handle, invented by the client, not 0"],
      ["device", "u32", "index of the device within the lease"],
      ["flags", "u32", "0 default, 1 does not wait for the default stream"],
      ["priority", "i32", "lower numbers run first; 0 is the default"],
    ],
  },
  streamDestroy: {
    opcode: 13,
    doc: "Destroys a stream once its work is done.",
    errors: ["NO_SUCH_HANDLE"],
    fields: [["stream", "u32", "stream handle"]],
  },
  streamSynchronize: {
    opcode: 14,
    doc: "Is answered when all work before it in the stream is done.",
    errors: ["NO_SUCH_HANDLE"],
    fields: [["stream", "u32", "stream handle"]],
    answer: [],
  },
  streamQuery: {
    opcode: 15,
    doc: "Asks whether all work before it in the stream is done.",
    errors: ["NO_SUCH_HANDLE"],
    fields: [["stream", "u32", "stream handle"]],
    answer: [["done", "u32", "1 when done, else 0"]],
  },
  streamWaitEvent: {
    opcode: 16,
    doc: "Makes later work in a stream wait for an event.",
    errors: ["NO_SUCH_HANDLE"],
    fields: [
      ["stream", "u32", "stream handle"],
      ["event", "u32", "event handle"],
    ],
  },
  eventCreate: {
    opcode: 17,
    doc: "Creates an event.",
    errors: ["NO_SUCH_DEVICE", "HANDLE_IN_USE", "TOO_MANY_HANDLES"],
    fields: [
      ["event", "u32", "event handle, invented by the client, not 0"],
      ["device", "u32", "index of the device within the lease"],
      ["flags", "u32", "0 default, 2 takes no time stamps (as CU_EVENT_DISABLE_TIMING)"],
    ],
  },
  eventDestroy: {
    opcode: 18,
    doc: "Destroys an event.",
    errors: ["NO_SUCH_HANDLE"],
    fields: [["event", "u32", "event handle"]],
  },
  eventRecord: {
    opcode: 19,
    doc: "Records an event in a stream.",
    errors: ["NO_SUCH_HANDLE"],
    fields: [
      ["event", "u32", "event handle"],
      ["stream", "u32", "stream handle, 0 for the default stream of the event's device"],
    ],
  },
  eventSynchronize: {
    opcode: 20,
    doc: "Is answered when the event's last recording is done; at once when it was never recorded.",
    errors: ["NO_SUCH_HANDLE"],
    fields: [["event", "u32", "event handle"]],
    answer: [],
  },
  eventQuery: {
    opcode: 21,
    doc: "Asks whether the event's last recording is done.",
    errors: ["NO_SUCH_HANDLE"],
    fields: [["event", "u32", "event handle"]],
    answer: [["done", "u32", "1 when done or never recorded, else 0"]],
  },
  eventElapsed: {
    opcode: 22,
    doc: "Time between two recorded events, both done.",
    errors: ["NO_SUCH_HANDLE", "NOT_READY", "BAD_ARGUMENT"],
    fields: [
      ["start", "u32", "event handle"],
      ["end", "u32", "event handle"],
    ],
    answer: [["milliseconds", "f64", "elapsed time in milliseconds"]],
  },
  deviceSynchronize: {
    opcode: 23,
    doc: "Is answered when all work on the device is done.",
    errors: ["NO_SUCH_DEVICE"],
    fields: [["device", "u32", "index of the device within the lease"]],
    answer: [],
  },
  memoryInfo: {
    opcode: 24,
    doc: "Memory of the slice, never of the whole device.",
    errors: ["NO_SUCH_DEVICE"],
    fields: [["device", "u32", "index of the device within the lease"]],
    answer: [
      ["freeBytes", "u64", "bytes of the arena that no allocation uses"],
      ["totalBytes", "u64", "size of the arena"],
    ],
  },
  copyToDeviceKept: {
    opcode: 25,
    doc: "As `copyToDevice`, and the server keeps the bytes as one piece in its cache, for `copyCached`.",
    errors: ["ADDRESS_OUTSIDE_ARENA", "NOT_ALLOCATED", "NO_SUCH_HANDLE"],
    fields: [
      ["address", "u64", "first destination address"],
      ["stream", "u32", "stream handle, 0 for the default stream"],
      ["data", "bytes", "the bytes, at most CALL_DATA_BYTES_MAX"],
    ],
  },
  copyCached: {
    opcode: 26,
    doc: "Writes those pieces of a range whose bytes the server's cache holds, and says which.",
    errors: ["ADDRESS_OUTSIDE_ARENA", "NOT_ALLOCATED", "NO_SUCH_HANDLE", "BAD_ARGUMENT"],
    fields: [
      ["address", "u64", "first destination address"],
      ["byteCount", "u64", "size of the range in bytes, 1 or more"],
      ["stream", "u32", "stream handle, 0 for the default stream"],
      [
        "hashes",
        "bytes",
        "SHA-256 of each piece of CALL_DATA_BYTES_MAX bytes (the last may be shorter), 32 bytes each, in order, at most CACHED_PIECES_MAX",
      ],
    ],
    answer: [["held", "bytes", "one byte per piece: 1 when it is written, 0 when the client must send it"]],
  },
  moduleLoadCached: {
    opcode: 27,
    doc: "As `moduleLoad`, with the server's cache: an image that is sent is kept there, and one that is there need not be sent.",
    errors: [
      "NO_SUCH_HANDLE",
      "NO_SUCH_DEVICE",
      "BAD_IMAGE",
      "UNSUPPORTED_INSTRUCTION",
      "OUT_OF_MEMORY",
      "HANDLE_IN_USE",
      "TOO_MANY_HANDLES",
      "IMAGE_TOO_LARGE",
      "BAD_ARGUMENT",
    ],
    fields: [
      ["module", "u32", "module handle, invented by the client; not used up when the server lacks the image"],
      ["image", "u32", "handle of an image that is sent, or 0 for one that the cache may hold"],
      ["device", "u32", "index of the device within the lease"],
      ["totalBytes", "u32", "size of the image in bytes, where `image` is 0"],
      [
        "hashes",
        "bytes",
        "where `image` is 0: SHA-256 of each piece, as in `copyCached`, of at most IMAGE_BYTES_MAX bytes",
      ],
    ],
    answer: [
      ["held", "u32", "1 when the module is loaded; 0 when the server lacks the image, and nothing is done"],
      ["kernels", { list: "KernelInfo" }, "as in `moduleLoad`"],
      ["globals", { list: "GlobalInfo" }, "as in `moduleLoad`"],
    ],
  },
  recordingCreate: {
    opcode: 28,
    doc: "Keeps calls for `recordingReplay`; runs nothing. Handles that the calls name must exist.",
    errors: ["HANDLE_IN_USE", "TOO_MANY_HANDLES", "BAD_ARGUMENT", "NO_SUCH_HANDLE", "NO_SUCH_KERNEL"],
    fields: [
      ["recording", "u32", "recording handle, invented by the client"],
      ["count", "u32", "number of calls, 1 to RECORDING_CALLS_MAX"],
      ["valueBytes", "u32", "size of the values of each replay, a multiple of 8, at most RECORDING_VALUE_BYTES_MAX"],
      ["patches", { list: "RecordingPatch" }, "where values go, at most RECORDING_PATCHES_MAX"],
      [
        "calls",
        "bytes",
        "the calls one behind the other as in a frame: launch, copyOnDevice, fill, multiply, eventRecord, streamWaitEvent; at most RECORDING_BYTES_MAX",
      ],
    ],
  },
  recordingReplay: {
    opcode: 29,
    doc: "Runs the calls of a recording in order, with these values in their places. A call that fails is named with its index.",
    errors: [
      "NO_SUCH_HANDLE",
      "BAD_ARGUMENT",
      "ADDRESS_OUTSIDE_ARENA",
      "NOT_ALLOCATED",
      "BAD_LAUNCH",
      "ILLEGAL_ADDRESS",
      "KERNEL_TIMEOUT",
      "KERNEL_TRAP",
      "UNSUPPORTED",
    ],
    fields: [
      ["recording", "u32", "recording handle"],
      ["values", "bytes", "exactly the recording's valueBytes"],
    ],
  },
  recordingDestroy: {
    opcode: 30,
    doc: "Destroys a recording.",
    errors: ["NO_SUCH_HANDLE"],
    fields: [["recording", "u32", "recording handle"]],
  },
  multiply: {
    opcode: 32,
    doc: "C = alpha op(A) op(B) + beta C for each matrix of a batch, row by row; sums are f32. All operands lie on one device.",
    errors: [
      "BAD_ARGUMENT",
      "ADDRESS_OUTSIDE_ARENA",
      "NOT_ALLOCATED",
      "NO_SUCH_HANDLE",
      "UNSUPPORTED",
      "OUT_OF_MEMORY",
      "KERNEL_TIMEOUT",
    ],
    fields: [
      ["a", "u64", "address of A: op(A) has m rows and k columns"],
      ["b", "u64", "address of B: op(B) has k rows and n columns"],
      ["c", "u64", "address of C, of m rows and n columns; it shares no element with A or B"],
      ["strideA", "u64", "elements from one A of the batch to the next; 0 where all products use the same"],
      ["strideB", "u64", "elements from one B of the batch to the next; 0 where all products use the same"],
      ["strideC", "u64", "elements from one C of the batch to the next; they do not overlap"],
      ["m", "u32", "rows of C, 1 to 2^31-1"],
      ["n", "u32", "columns of C, 1 to 2^31-1"],
      ["k", "u32", "columns of op(A), 1 to 2^31-1"],
      [
        "lda",
        "u32",
        "elements from one row of A in memory to the next, at least its columns in memory, at most 2^31-1",
      ],
      ["ldb", "u32", "the same of B"],
      ["ldc", "u32", "the same of C"],
      ["batchCount", "u32", "number of products, 1 to 2^31-1"],
      [
        "type",
        "u32",
        "of all operands: 0 f32, 1 tf32 (f32 in memory, rounded to tf32 for the products), 2 f16, 3 bf16",
      ],
      ["transposeA", "u32", "1 where A stands transposed in memory (k rows, m columns), else 0"],
      ["transposeB", "u32", "1 where B stands transposed in memory (n rows, k columns), else 0"],
      ["alpha", "f32", "factor of the product"],
      ["beta", "f32", "factor of what C holds; with 0 it is not read"],
      ["stream", "u32", "stream handle, 0 for the default stream"],
    ],
  },
  compile: {
    opcode: 33,
    doc: "Compiles CUDA C for a device and loads the result as a module. The source is sent as an image, and dropped afterwards.",
    errors: [
      "NO_SUCH_HANDLE",
      "NO_SUCH_DEVICE",
      "BAD_ARGUMENT",
      "BAD_IMAGE",
      "UNSUPPORTED",
      "OUT_OF_MEMORY",
      "HANDLE_IN_USE",
      "TOO_MANY_HANDLES",
      "IMAGE_TOO_LARGE",
    ],
    fields: [
      ["module", "u32", "module handle, invented by the client"],
      ["image", "u32", "image handle of the source, UTF-8, at most 1 MiB"],
      ["device", "u32", "index of the device within the lease"],
      ["options", { list: "CompileOption" }, "options of NVRTC that name no file, at most 32"],
    ],
    answer: [
      ["kernels", { list: "KernelInfo" }, "as in `moduleLoad`"],
      ["globals", { list: "GlobalInfo" }, "as in `moduleLoad`"],
      ["log", "string", "what the compiler says beside that, such as warnings"],
    ],
  },
  copyToDeviceStaged: {
    opcode: 34,
    doc: "As `copyToDevice`, with bytes of the staging file. The client may change them once the call is acknowledged, which it is as soon as it is executed.",
    errors: ["ADDRESS_OUTSIDE_ARENA", "NOT_ALLOCATED", "NO_SUCH_HANDLE", "BAD_ARGUMENT"],
    fields: [
      ["address", "u64", "first destination address"],
      ["offset", "u32", "where in the staging file the bytes are"],
      ["byteCount", "u32", "number of bytes, at most CALL_DATA_BYTES_MAX"],
      ["stream", "u32", "stream handle, 0 for the default stream"],
    ],
  },
  copyFromDeviceStaged: {
    opcode: 35,
    doc: "As `copyFromDevice`, into the staging file. The bytes are there when it is answered.",
    errors: ["ADDRESS_OUTSIDE_ARENA", "NOT_ALLOCATED", "NO_SUCH_HANDLE", "BAD_ARGUMENT"],
    fields: [
      ["address", "u64", "first source address"],
      ["offset", "u32", "where in the staging file the bytes go"],
      ["byteCount", "u32", "number of bytes, at most CALL_DATA_BYTES_MAX"],
      ["stream", "u32", "stream handle, 0 for the default stream"],
    ],
    answer: [],
  },
  launchCooperative: {
    opcode: 36,
    doc: "As `launch`, with all blocks at the same time, so that they can wait for each other. Fails with BAD_LAUNCH when they do not all fit the device.",
    errors: ["NO_SUCH_HANDLE", "NO_SUCH_KERNEL", "BAD_LAUNCH", "ILLEGAL_ADDRESS", "KERNEL_TIMEOUT", "KERNEL_TRAP"],
    fields: [
      ["module", "u32", "module handle"],
      ["kernel", "u32", "index of the kernel in the answer of `moduleLoad`"],
      ["gridX", "u32", "blocks along x, 1 to 2^31-1"],
      ["gridY", "u32", "blocks along y, 1 to 65535"],
      ["gridZ", "u32", "blocks along z, 1 to 65535"],
      ["blockX", "u32", "threads along x, 1 to 1024"],
      ["blockY", "u32", "threads along y, 1 to 1024"],
      ["blockZ", "u32", "threads along z, 1 to 64"],
      ["sharedBytes", "u32", "dynamic shared memory per block in bytes"],
      ["stream", "u32", "stream handle, 0 for the default stream"],
      ["params", "bytes", "the packed parameter block: exactly the kernel's paramBytes"],
    ],
  },
} as const satisfies Record<string, CallSpec>;

/** What a frame carries; the number stands in the low half of the header's second word. */
export const frameKinds = {
  GREETING: 1,
  HELLO: 2,
  WELCOME: 3,
  CALLS: 4,
  ANSWERS: 5,
  OUTPUT: 6,
  REFUSAL: 7,
  GOODBYE: 8,
} as const;
