/**
 * The words of the data plane: the types of fields, the records of lists, and the messages that frames carry beside calls and answers. With
 * `calls.ts` it is the one description of what travels; what that says of numbers, fields and the fingerprint holds here too.
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
    ["usesHeap", "u32", "1 where it allocates memory by itself (malloc, new), on the range that `heap` names; else 0"],
    [
      "refusalCode",
      "u32",
      "wire number of the error with which every launch of the kernel fails; 0 when the device can run it",
    ],
    ["refusal", "string", "that error as a sentence, naming the instruction that the device lacks; else empty"],
  ],
  GlobalInfo: [
    ["name", "string", "the variable's name"],
    ["address", "u64", "device address"],
    ["byteCount", "u64", "size in bytes"],
  ],
  CompileOption: [["text", "string", "one option, such as `--use_fast_math` or `-DTILE=16`"]],
  TextureLevel: [
    ["address", "u64", "address of the level's first texel, a multiple of a texel's bytes"],
    ["rowBytes", "u64", "bytes from one row to the next, a multiple of a texel's bytes"],
    ["planeBytes", "u64", "bytes from one plane or layer to the next, a multiple of a texel's bytes"],
  ],
  DnnAttribute: [
    ["name", "u32", "cudnnBackendAttributeName_t"],
    ["type", "u32", "cudnnBackendAttributeType_t"],
    ["count", "u32", "number of elements"],
    [
      "data",
      "bytes",
      "the elements as in cuDNN's memory, but for BACKEND_DESCRIPTOR, a descriptor handle (u32) each, and HANDLE, which has no bytes; VOID_PTR cannot be",
    ],
  ],
  RecordingPatch: [
    ["call", "u32", "index of the call in the recording"],
    [
      "offset",
      "u32",
      "byte offset in the call's body, a multiple of 4 unless inside `params`: of bytes inside `params` of launch, or of a whole field: destination, source or byteCount of copyOnDevice; address, count or value of fill; a, b, c, bias, alpha, beta, alphaF64 or betaF64 of multiply",
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
