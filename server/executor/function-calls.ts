/**
 * The calls for libraries' functions (proto/library-calls.ts). Handles are looked up and addresses checked here; what the library is given, and how much of it, is
 * the device's to see to. What the library refuses is an answer of its status; only of calls without an answer is it a failure.
 */
import { SluiceError } from "../../shared/errors.ts";
import type {
  LibraryAskCallAnswer,
  LibraryAskCallCall,
  LibraryCallCall,
  LibraryForgetCall,
  LibraryOpenAnswer,
  LibraryOpenCall,
} from "../../shared/generated/calls.ts";
import { libraries } from "../../shared/libraries.ts";
import type { DeviceLibrary, LibraryLookup, LibraryOutcome, LibraryResult } from "../device/libraries.ts";
import type { OpenSlice, Workspace } from "./workspace.ts";

const bad = (message: string): SluiceError => new SluiceError("BAD_ARGUMENT", message);

export async function libraryOpen(work: Workspace, { device, library }: LibraryOpenCall): Promise<LibraryOpenAnswer> {
  const slice = work.slice(device);
  nameOf(library);
  if (slice.device.openLibrary === undefined) throw without(slice, library);
  slice.libraries[library] ??= await slice.device.openLibrary(library);
  return { ...slice.libraries[library].versions, ...reserved(slice) };
}

export function libraryForget(work: Workspace, call: LibraryForgetCall): void {
  const { slice, library, descriptor } = work.descriptors.remove(call.descriptor);
  opened(slice, library).forget(descriptor);
}

export function libraryCall(work: Workspace, call: LibraryCallCall): void | Promise<void> {
  const expect = (result: LibraryResult): void => {
    if (!result.isRemembered) expectSuccess(opened(work.slice(call.device), call.library), result);
  };
  const result = callFunction(work, call, false);
  return result instanceof Promise ? result.then(expect) : expect(result);
}

export async function libraryAskCall(work: Workspace, call: LibraryAskCallCall): Promise<LibraryAskCallAnswer> {
  const result = await callFunction(work, call, true);
  return { ...result, ...reserved(work.slice(call.device)) };
}

function callFunction(
  work: Workspace,
  call: LibraryCallCall,
  mayReserve: boolean,
): LibraryResult | Promise<LibraryResult> {
  const slice = work.slice(call.device);
  const stream = work.stream(call.stream, slice);
  const calling = { function: call.function, stream, arguments: call.arguments, mayReserve };
  return opened(slice, call.library).call(calling, lookupOf(work, slice, call.library));
}

/** @throws SluiceError for any other status */
export function expectSuccess(library: DeviceLibrary, outcome: LibraryOutcome): void {
  if (outcome.status !== 0) throw library.failure(outcome, "compute");
}

/** What the device may ask of the session, for calls of a library on one slice. */
export function lookupOf(work: Workspace, slice: OpenSlice, library: number): LibraryLookup {
  return {
    descriptor: (handle) => {
      const owned = work.descriptors.get(handle);
      if (owned.library !== library) {
        throw bad(`The descriptor [${handle}] is of ${nameOf(owned.library)}, not of ${nameOf(library)}.`);
      }
      if (owned.slice === slice) return owned.descriptor;
      throw bad(`The descriptor [${handle}] is of device [${owned.slice.index}], not of device [${slice.index}].`);
    },
    check: (address, byteCount) => {
      const other = work.within(address, byteCount);
      if (other === slice) return;
      const where = `[0x${address.toString(16)}] is on the device [${other.index}]`;
      throw bad(`The address ${where}, and ${nameOf(library)} works on the device [${slice.index}].`);
    },
    claim: (handle) => work.descriptors.claim(handle),
    made: (handle, descriptor) => work.descriptors.set(handle, { slice, library, descriptor }),
  };
}

export const reserved = ({ device }: OpenSlice): { readonly reservedBytes: number } => ({
  reservedBytes: device.reservedBytes ?? 0,
});

/** @throws SluiceError BAD_ARGUMENT, UNSUPPORTED where it is not opened */
export function opened(slice: OpenSlice, library: number): DeviceLibrary {
  const found = slice.libraries[library];
  if (found !== undefined) return found;
  const name = nameOf(library);
  if (slice.device.openLibrary === undefined) throw without(slice, library);
  throw bad(`${name} is not opened on the device [${slice.index}].`);
}

/** @throws SluiceError BAD_ARGUMENT for a number that no library has */
function nameOf(library: number): string {
  const name = libraries[library]?.name;
  if (name === undefined) throw bad(`There is no library [${library}].`);
  return name;
}

/** What programs can do without one. */
const instead: Partial<Record<string, string>> = {
  cuDNN: "; programs can do without it, PyTorch with `torch.backends.cudnn.enabled = False`",
};

function without({ assignment }: OpenSlice, library: number): SluiceError {
  const name = nameOf(library);
  const { kind } = assignment.description;
  return new SluiceError("UNSUPPORTED", `A device of the kind [${kind}] has no ${name}${instead[name] ?? ""}.`);
}
