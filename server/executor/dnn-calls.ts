/**
 * The calls for cuDNN (proto/dnn-calls.ts). Handles are looked up and addresses checked here; what the library is given, and how much of it, is the
 * device's to see to. What cuDNN refuses is an answer of its status; only of calls without an answer is it a failure.
 */
import { SluiceError } from "../../shared/errors.ts";
import type {
  DnnAskAnswer,
  DnnAskCall,
  DnnAskCallAnswer,
  DnnAskCallCall,
  DnnCallCall,
  DnnDescribeAnswer,
  DnnDescribeCall,
  DnnExecuteCall,
  DnnForgetCall,
  DnnOpenAnswer,
  DnnOpenCall,
  DnnTryAnswer,
  DnnTryCall,
} from "../../shared/generated/calls.ts";
import { DNN_ATTRIBUTES_MAX } from "../../shared/limits.ts";
import {
  type DeviceDnn,
  type DnnExecution,
  type DnnLookup,
  type DnnOutcome,
  type DnnResult,
  dnnFailure,
} from "../device/dnn.ts";
import type { OpenSlice, Workspace } from "./workspace.ts";

const bad = (message: string): SluiceError => new SluiceError("BAD_ARGUMENT", message);

export async function dnnOpen(work: Workspace, { device }: DnnOpenCall): Promise<DnnOpenAnswer> {
  const slice = work.slice(device);
  if (slice.device.openDnn === undefined) throw without(slice);
  slice.dnn ??= await slice.device.openDnn();
  return { ...slice.dnn.versions, ...reserved(slice) };
}

export async function dnnDescribe(work: Workspace, call: DnnDescribeCall): Promise<DnnDescribeAnswer> {
  work.descriptors.claim(call.descriptor);
  const slice = work.slice(call.device);
  const { length } = call.attributes;
  if (length > DNN_ATTRIBUTES_MAX) {
    throw bad(`A descriptor of cuDNN has [${length}] attributes, more than [${DNN_ATTRIBUTES_MAX}].`);
  }
  const { descriptor, ...outcome } = await opened(slice).describe(call.type, call.attributes, lookupOf(work, slice));
  if (descriptor !== undefined) work.descriptors.set(call.descriptor, { slice, descriptor });
  return { ...outcome, ...reserved(slice) };
}

export function dnnForget(work: Workspace, call: DnnForgetCall): void {
  const { slice, descriptor } = work.descriptors.remove(call.descriptor);
  opened(slice).forget(descriptor);
}

export function dnnAsk(work: Workspace, call: DnnAskCall): DnnAskAnswer {
  const { slice, descriptor } = work.descriptors.get(call.descriptor);
  const { name, type, count, intoType } = call;
  const into = handlesOf(call.into);
  const question = { descriptor, name, type, count, into, intoType };
  return { ...opened(slice).ask(question, lookupOf(work, slice)), ...reserved(slice) };
}

export function dnnExecute(work: Workspace, call: DnnExecuteCall): void | Promise<void> {
  const outcome = run(work, call, false);
  return outcome instanceof Promise ? outcome.then(expectSuccess) : expectSuccess(outcome);
}

export async function dnnTry(work: Workspace, call: DnnTryCall): Promise<DnnTryAnswer> {
  const outcome = await run(work, call, true);
  return { ...outcome, ...reserved(work.descriptors.get(call.plan).slice) };
}

function run(work: Workspace, call: DnnExecuteCall, mayReserve: boolean): DnnOutcome | Promise<DnnOutcome> {
  const { slice, descriptor: plan } = work.descriptors.get(call.plan);
  const { workspace, uids, addresses, values } = call;
  const stream = work.stream(call.stream, slice);
  const execution: DnnExecution = { plan, stream, workspace, uids, addresses, values, mayReserve };
  return opened(slice).execute(execution, lookupOf(work, slice));
}

export function dnnCall(work: Workspace, call: DnnCallCall): void | Promise<void> {
  const result = callFunction(work, call, false);
  return result instanceof Promise ? result.then(expectRemembered) : expectRemembered(result);
}

export async function dnnAskCall(work: Workspace, call: DnnAskCallCall): Promise<DnnAskCallAnswer> {
  const result = await callFunction(work, call, true);
  return { ...result, ...reserved(work.slice(call.device)) };
}

function callFunction(work: Workspace, call: DnnCallCall, mayReserve: boolean): DnnResult | Promise<DnnResult> {
  const slice = work.slice(call.device);
  const stream = work.stream(call.stream, slice);
  const calling = { function: call.function, stream, arguments: call.arguments, mayReserve };
  return opened(slice).call(calling, lookupOf(work, slice));
}

function expectRemembered(result: DnnResult): void {
  if (!result.isRemembered) expectSuccess(result);
}

function expectSuccess(outcome: DnnOutcome): void {
  if (outcome.status !== 0) throw dnnFailure(outcome, "compute");
}

/** Handles as they stand in bytes. */
function handlesOf(bytes: Uint8Array): number[] {
  if (bytes.byteLength % 4 !== 0) throw bad(`Handles of [${bytes.byteLength}] bytes are not 4 bytes each.`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.byteLength / 4 }, (_, index) => view.getUint32(4 * index, true));
}

/** What the device may ask of the session, for calls on one slice. */
function lookupOf(work: Workspace, slice: OpenSlice): DnnLookup {
  return {
    descriptor: (handle) => {
      const owned = work.descriptors.get(handle);
      if (owned.slice === slice) return owned.descriptor;
      throw bad(`The descriptor [${handle}] is of device [${owned.slice.index}], not of device [${slice.index}].`);
    },
    check: (address, byteCount) => {
      const other = work.within(address, byteCount);
      if (other === slice) return;
      throw bad(
        `The address [0x${address.toString(16)}] is on the device [${other.index}], and cuDNN works on the device [${slice.index}].`,
      );
    },
    claim: (handle) => work.descriptors.claim(handle),
    made: (handle, descriptor) => work.descriptors.set(handle, { slice, descriptor }),
  };
}

const reserved = ({ device }: OpenSlice): { readonly reservedBytes: number } => ({
  reservedBytes: device.reservedBytes ?? 0,
});

function opened(slice: OpenSlice): DeviceDnn {
  if (slice.dnn !== undefined) return slice.dnn;
  if (slice.device.openDnn === undefined) throw without(slice);
  throw bad(`cuDNN is not opened on the device [${slice.index}].`);
}

const without = ({ assignment }: OpenSlice): SluiceError =>
  new SluiceError(
    "UNSUPPORTED",
    `A device of the kind [${assignment.description.kind}] has no cuDNN; programs can do without it, PyTorch with \`torch.backends.cudnn.enabled = False\`.`,
  );
