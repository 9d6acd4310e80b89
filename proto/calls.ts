/**
 * The table of calls: with `messages.ts` the one description of what travels on the data plane. `generate.ts` turns it into the TypeScript
 * codec (shared/generated/calls.ts), the C client's (client/interposer/generated/calls.h) and the tables of proto/README.md. Opcodes and
 * fields are append-only: a released number never changes its meaning. Any change alters the fingerprint, and the two ends of a
 * connection must agree on it.
 */
import type { Field } from "./messages.ts";

export interface CallSpec {
  readonly opcode: number;
  readonly doc: string;
  /** Errors that this call itself may be answered with, or leave behind for the next answered call. */
  readonly errors: readonly string[];
  readonly fields: readonly Field[];
  /** The answer's fields. Absent: the call needs no answer, and its failure is told by the next call that does. */
  readonly answer?: readonly Field[];
}

/** What is told of a loaded module. */
const moduleFields = [
  ["kernels", { list: "KernelInfo" }, "every kernel; its position in this list is its index in `launch`"],
  ["globals", { list: "GlobalInfo" }, "every variable in global or constant memory of the module"],
  ["reservedBytes", "u64", "bytes at the arena's end that modules and stacks have: they are not there to be allocated"],
] as const;

/** Of what makes a texture or a surface. */
const imageErrors = [
  "BAD_ARGUMENT",
  "ADDRESS_OUTSIDE_ARENA",
  "NOT_ALLOCATED",
  "HANDLE_IN_USE",
  "TOO_MANY_HANDLES",
  "UNSUPPORTED",
] as const;

/** Where the texels of a texture or a surface are, and what they are. */
const texels = [
  ["address", "u64", "address of the first texel, a multiple of a texel's bytes"],
  ["rowBytes", "u64", "bytes from one row to the next, a multiple of a texel's bytes"],
  ["planeBytes", "u64", "bytes from one plane or layer to the next, a multiple of a texel's bytes"],
  ["width", "u32", "texels in a row, 1 or more"],
  ["height", "u32", "rows; 0 in one dimension"],
  ["depth", "u32", "planes; 0 in less than three dimensions"],
  ["layers", "u32", "layers; 0 where there are none"],
  [
    "format",
    "u32",
    "of a number, as in CUarray_format of cuda.h: 1 u8, 2 u16, 3 u32, 8 s8, 9 s16, 10 s32, 16 f16, 32 f32",
  ],
  ["channels", "u32", "numbers per texel: 1, 2 or 4"],
] as const satisfies readonly Field[];

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
    errors: ["NOT_ALLOCATED", "RANGE_IN_USE"],
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
    doc: "Loads a complete image (PTX text, cubin or fatbin) on a device. The image is dropped afterwards, loaded or not. A kernel that the device cannot run is described with its refusal, and the others can be launched.",
    errors: [
      "NO_SUCH_HANDLE",
      "NO_SUCH_DEVICE",
      "BAD_IMAGE",
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
    answer: moduleFields,
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
    errors: [
      "NO_SUCH_HANDLE",
      "NO_SUCH_KERNEL",
      "BAD_LAUNCH",
      "UNSUPPORTED_INSTRUCTION",
      "ILLEGAL_ADDRESS",
      "KERNEL_TIMEOUT",
      "KERNEL_TRAP",
    ],
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
      ...moduleFields,
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
    doc: "C = alpha op(A) op(B) + beta C for each matrix of a batch, row by row, and what is done to it at last; sums are f32, of f64 f64. All operands lie on one device.",
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
        "of all operands: 0 f32, 1 tf32 (f32 in memory, rounded to tf32 for the products), 2 f16, 3 bf16, 4 f64; or of A and B, and C is f32: 5 f16, 6 bf16",
      ],
      ["transposeA", "u32", "1 where A stands transposed in memory (k rows, m columns), else 0"],
      ["transposeB", "u32", "1 where B stands transposed in memory (n rows, k columns), else 0"],
      ["alpha", "f32", "factor of the product"],
      ["beta", "f32", "factor of what C holds; with 0 it is not read"],
      ["stream", "u32", "stream handle, 0 for the default stream"],
      ["activation", "u32", "what becomes of each result, its bias added: 0 it stays, 1 below 0 it becomes 0 (ReLU)"],
      ["bias", "u64", "address of n elements of C's type, each added to its column of C; 0 for none"],
      ["alphaF64", "f64", "in place of alpha where the type is f64, else not read"],
      ["betaF64", "f64", "in place of beta where the type is f64, else not read"],
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
    answer: [...moduleFields, ["log", "string", "what the compiler says beside that, such as warnings"]],
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
    errors: [
      "NO_SUCH_HANDLE",
      "NO_SUCH_KERNEL",
      "BAD_LAUNCH",
      "UNSUPPORTED_INSTRUCTION",
      "ILLEGAL_ADDRESS",
      "KERNEL_TIMEOUT",
      "KERNEL_TRAP",
    ],
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
  textureCreate: {
    opcode: 37,
    doc: "Makes a texture over memory within one allocation; its answer is what kernels take for it. It stays until it is destroyed, whatever becomes of the memory.",
    errors: imageErrors,
    fields: [
      ["texture", "u32", "texture handle, invented by the client"],
      [
        "resource",
        "u32",
        "0 a line of memory, 1 rows of memory, 2 an array (the client's word for memory that it uses as one: whether a texture shows what kernels write there by its address is the device's to say)",
      ],
      ...texels,
      ["addressModeX", "u32", "outside along x: 0 wrap, 1 clamp, 2 mirror, 3 border"],
      ["addressModeY", "u32", "the same along y"],
      ["addressModeZ", "u32", "the same along z"],
      ["filter", "u32", "0 the nearest texel, 1 linear"],
      [
        "flags",
        "u32",
        "1 integers are read as they are, 2 coordinates go from 0 to 1, 4 six layers each are the faces of a cube, 8 numbers are sRGB and read as linear ones (of 8 bits, unsigned, not read as they are; the fourth of a texel is linear), 16 cubes are filtered across their edges, whatever the address modes, 32 kernels name a cube by a number though there is one",
      ],
      ["borderX", "u32", "bits of the first number that is read outside with border"],
      ["borderY", "u32", "of the second"],
      ["borderZ", "u32", "of the third"],
      ["borderW", "u32", "of the fourth"],
      ["levelFilter", "u32", "between two levels of detail: 0 the nearer one, 1 linear"],
      ["levelBias", "f32", "added to every level that a kernel asks for"],
      ["levelLeast", "f32", "the least level that is read, counted from 0"],
      ["levelMost", "f32", "the last that is read"],
      [
        "levels",
        { list: "TextureLevel" },
        "levels of detail behind the first, of an array read by coordinates from 0 to 1: each half as large as the one before in every direction (at least 1), with as many layers, and within one allocation; at most as many as it takes to come to 1",
      ],
    ],
    answer: [["object", "u64", "what kernels take: its meaning is the device's"]],
  },
  textureDestroy: {
    opcode: 38,
    doc: "Destroys a texture; kernels that still run must not use it.",
    errors: ["NO_SUCH_HANDLE"],
    fields: [["texture", "u32", "texture handle"]],
  },
  surfaceCreate: {
    opcode: 39,
    doc: "Makes a surface, which kernels read and write, over memory within one allocation; otherwise as `textureCreate`.",
    errors: imageErrors,
    fields: [
      ["surface", "u32", "surface handle, invented by the client"],
      ...texels,
      [
        "flags",
        "u32",
        "1 numbers of 8 and 16 bits stand for parts of their largest, where kernels store texels by their format",
      ],
    ],
    answer: [["object", "u64", "what kernels take: its meaning is the device's"]],
  },
  surfaceDestroy: {
    opcode: 40,
    doc: "Destroys a surface; kernels that still run must not use it.",
    errors: ["NO_SUCH_HANDLE"],
    fields: [["surface", "u32", "surface handle"]],
  },
  heap: {
    opcode: 45,
    doc: "Names memory on which kernels of a device allocate by themselves (malloc, new), where `KernelInfo` says that they do; without it such an allocation gives 0. Once in a session for each device; the range stays allocated as long.",
    errors: ["ADDRESS_OUTSIDE_ARENA", "NOT_ALLOCATED", "BAD_ARGUMENT", "UNSUPPORTED"],
    fields: [
      ["address", "u64", "first address of the range, a multiple of 256; which also says on which device it is"],
      ["byteCount", "u64", "size in bytes, within one allocation"],
    ],
  },
  stackLimit: {
    opcode: 46,
    doc: "Gives every thread of a device's kernels a stack of a size, until the next such call: what kernels whose depth no compiler knows (recursion) run on. It may take memory from the end of the arena, where nothing may be allocated meanwhile. Waits for all work on the device. What fails changes nothing.",
    errors: ["NO_SUCH_DEVICE", "OUT_OF_MEMORY", "BAD_ARGUMENT"],
    fields: [
      ["device", "u32", "index of the device within the lease"],
      ["threadBytes", "u64", "bytes of each thread; less than the device's default gives that"],
    ],
    answer: [["reservedBytes", "u64", "bytes at the end of the arena that are no longer there to be allocated"]],
  },
} as const satisfies Record<string, CallSpec>;
