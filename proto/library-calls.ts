/**
 * The calls for libraries of the server's, a part of the table of calls: functions by the tables of shared/libraries.ts, where a library's number is its place. And
 * cuDNN's graphs of operations, made of its backend descriptors: numbers of descriptors, attributes, types and statuses are those of cuDNN 9, as in its
 * headers. A status is an answer, not an error of the call.
 */
import type { Field } from "./messages.ts";

/** What such a call may take of the arena's end, where nothing may be allocated until the answer is there: as `moduleLoad` without `leavesEnd`. */
const reserved = [
  "reservedBytes",
  "u64",
  "bytes at the arena's end that modules, stacks and what libraries have loaded have, whatever the status: they are not there to be allocated",
] as const satisfies Field;

const status = [
  ["status", "u32", "cudnnStatus_t: 0 for success"],
  ["message", "string", "what cuDNN or the server says about it; may be empty"],
  reserved,
] as const satisfies readonly Field[];

const executed = [
  ["plan", "u32", "descriptor of an execution plan"],
  ["stream", "u32", "stream handle, 0 for the default stream"],
  ["workspace", "u64", "address of at least as many bytes as the plan asks for; 0 where it asks for none"],
  ["uids", "bytes", "unique ids of the tensors, i64 each"],
  ["addresses", "bytes", "address of each tensor's data, u64 each; 0 for a tensor by value"],
  ["values", "bytes", "values of the tensors by value, in the order of their ids, 16 bytes each, padded with zeros"],
] as const satisfies readonly Field[];

const functionFields = [
  ["library", "u32", "number of the library"],
  ["function", "u32", "number of the function in the library's table"],
  ["device", "u32", "index of the device within the lease"],
  ["stream", "u32", "stream handle, 0 for the default stream"],
  ["arguments", "bytes", "the arguments, packed as shared/library-functions.ts says"],
] as const satisfies readonly Field[];

const errors = [
  "NO_SUCH_HANDLE",
  "NO_SUCH_DEVICE",
  "BAD_ARGUMENT",
  "ADDRESS_OUTSIDE_ARENA",
  "NOT_ALLOCATED",
  "UNSUPPORTED",
  "OUT_OF_MEMORY",
  "ILLEGAL_ADDRESS",
  "KERNEL_TIMEOUT",
  "KERNEL_TRAP",
] as const;
const creatingErrors = [...errors, "HANDLE_IN_USE", "TOO_MANY_HANDLES"] as const;

export const libraryCalls = {
  libraryOpen: {
    opcode: 48,
    doc: "Opens a library on a device, for all calls of it there. As every call of a library with an answer it may take memory from the arena's end, for what the library loads: nothing may be allocated there until the answer is there.",
    errors: ["NO_SUCH_DEVICE", "BAD_ARGUMENT", "UNSUPPORTED", "OUT_OF_MEMORY"],
    fields: [
      ["device", "u32", "index of the device within the lease"],
      ["library", "u32", "number of the library"],
    ],
    answer: [
      ["version", "u64", "as the library tells it, cuDNN by cudnnGetVersion"],
      ["cudartVersion", "u64", "as cudnnGetCudartVersion; 0 of other libraries"],
      ["maxDeviceVersion", "u64", "as cudnnGetMaxDeviceVersion; 0 of other libraries"],
      reserved,
    ],
  },
  dnnDescribe: {
    opcode: 49,
    doc: "Creates a backend descriptor, sets its attributes in order and finalizes it. With another status than 0 there is none afterwards. What it refers to may be forgotten before it.",
    errors: creatingErrors,
    fields: [
      ["descriptor", "u32", "descriptor handle, invented by the client"],
      ["device", "u32", "index of the device within the lease"],
      ["type", "u32", "cudnnBackendDescriptorType_t"],
      ["attributes", { list: "DnnAttribute" }, "the attributes, at most DNN_ATTRIBUTES_MAX"],
    ],
    answer: status,
  },
  libraryForget: {
    opcode: 50,
    doc: "Destroys a descriptor, of a library's functions or of a graph.",
    errors: ["NO_SUCH_HANDLE"],
    fields: [["descriptor", "u32", "descriptor handle"]],
  },
  dnnAsk: {
    opcode: 51,
    doc: "Asks for an attribute of a backend descriptor. Descriptors that are its elements come into being under the handles of `into`, as many as there are; the others do not exist afterwards.",
    errors: creatingErrors,
    fields: [
      ["descriptor", "u32", "descriptor handle"],
      ["name", "u32", "cudnnBackendAttributeName_t"],
      ["type", "u32", "cudnnBackendAttributeType_t"],
      ["count", "u32", "elements asked for; 0 to be told how many there are"],
      [
        "into",
        "bytes",
        "where elements are descriptors: `count` descriptor handles, invented by the client, u32 each; else empty",
      ],
      ["intoType", "u32", "cudnnBackendDescriptorType_t of those"],
    ],
    answer: [
      ["status", "u32", "cudnnStatus_t: 0 for success"],
      ["count", "u32", "how many elements there are, or with descriptors how many came into being"],
      ["data", "bytes", "the elements, at most `count` of the call; empty for descriptors"],
      ["message", "string", "what cuDNN or the server says about it; may be empty"],
      reserved,
    ],
  },
  dnnExecute: {
    opcode: 52,
    doc: "Queues the work of a plan in a stream. It takes nothing of the arena's end: where its first run would have to, it fails with OUT_OF_MEMORY.",
    errors,
    fields: executed,
  },
  dnnTry: {
    opcode: 53,
    doc: "As `dnnExecute`, and tells what cuDNN says, where it can refuse without an end to the session.",
    errors,
    fields: executed,
    answer: status,
  },
  libraryCall: {
    opcode: 54,
    doc: "Calls a function of a library's table. One that sets a descriptor and fails leaves its status to those that use the descriptor.",
    errors: creatingErrors,
    fields: functionFields,
  },
  libraryAskCall: {
    opcode: 55,
    doc: "As `libraryCall`, and tells what the library says and the function's results, where it can refuse without an end to the session.",
    errors: creatingErrors,
    fields: functionFields,
    answer: [
      ["status", "u32", "the library's status: 0 for success"],
      ["results", "bytes", "the results, packed as the arguments; empty with another status"],
      ["message", "string", "what the library or the server says about it; may be empty"],
      reserved,
    ],
  },
} as const;
