/** The calls for cuDNN's graphs (proto/library-calls.ts), done as those for libraries' functions are (function-calls.ts). */

import { dnn } from "../../shared/dnn-functions.ts";
import { SluiceError } from "../../shared/errors.ts";
import type {
  DnnAskAnswer,
  DnnAskCall,
  DnnDescribeAnswer,
  DnnDescribeCall,
  DnnExecuteCall,
  DnnTryAnswer,
  DnnTryCall,
} from "../../shared/generated/calls.ts";
import { libraryNumber } from "../../shared/libraries.ts";
import { DNN_ATTRIBUTES_MAX } from "../../shared/limits.ts";
import type { DeviceDnn, DnnExecution } from "../device/dnn.ts";
import type { LibraryLookup, LibraryOutcome } from "../device/libraries.ts";
import { expectSuccess, lookupOf as lookupFor, opened, reserved } from "./function-calls.ts";
import type { OpenSlice, Workspace } from "./workspace.ts";

const bad = (message: string): SluiceError => new SluiceError("BAD_ARGUMENT", message);

const LIBRARY = libraryNumber(dnn);

// What a device opens under this number is one.
const dnnOf = (slice: OpenSlice): DeviceDnn => opened(slice, LIBRARY) as DeviceDnn;
const lookupOf = (work: Workspace, slice: OpenSlice): LibraryLookup => lookupFor(work, slice, LIBRARY);

export async function dnnDescribe(work: Workspace, call: DnnDescribeCall): Promise<DnnDescribeAnswer> {
  work.descriptors.claim(call.descriptor);
  const slice = work.slice(call.device);
  const { length } = call.attributes;
  if (length > DNN_ATTRIBUTES_MAX) {
    throw bad(`A descriptor of cuDNN has [${length}] attributes, more than [${DNN_ATTRIBUTES_MAX}].`);
  }
  const lookup = lookupOf(work, slice);
  const { descriptor, ...outcome } = await dnnOf(slice).describe(call.type, call.attributes, lookup);
  if (descriptor !== undefined) lookup.made(call.descriptor, descriptor);
  return { ...outcome, ...reserved(slice) };
}

export function dnnAsk(work: Workspace, call: DnnAskCall): DnnAskAnswer {
  const { slice } = work.descriptors.get(call.descriptor);
  const lookup = lookupOf(work, slice);
  const { name, type, count, intoType } = call;
  const question = {
    descriptor: lookup.descriptor(call.descriptor),
    name,
    type,
    count,
    into: handlesOf(call.into),
    intoType,
  };
  return { ...dnnOf(slice).ask(question, lookup), ...reserved(slice) };
}

export function dnnExecute(work: Workspace, call: DnnExecuteCall): void | Promise<void> {
  const outcome = run(work, call, false);
  const library = dnnOf(work.descriptors.get(call.plan).slice);
  return outcome instanceof Promise
    ? outcome.then((settled) => expectSuccess(library, settled))
    : expectSuccess(library, outcome);
}

export async function dnnTry(work: Workspace, call: DnnTryCall): Promise<DnnTryAnswer> {
  const outcome = await run(work, call, true);
  return { ...outcome, ...reserved(work.descriptors.get(call.plan).slice) };
}

function run(work: Workspace, call: DnnExecuteCall, mayReserve: boolean): LibraryOutcome | Promise<LibraryOutcome> {
  const { slice } = work.descriptors.get(call.plan);
  const lookup = lookupOf(work, slice);
  const { workspace, uids, addresses, values } = call;
  const stream = work.stream(call.stream, slice);
  const plan = lookup.descriptor(call.plan);
  const execution: DnnExecution = { plan, stream, workspace, uids, addresses, values, mayReserve };
  return dnnOf(slice).execute(execution, lookup);
}

/** Handles as they stand in bytes. */
function handlesOf(bytes: Uint8Array): number[] {
  if (bytes.byteLength % 4 !== 0) throw bad(`Handles of [${bytes.byteLength}] bytes are not 4 bytes each.`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.byteLength / 4 }, (_, index) => view.getUint32(4 * index, true));
}
