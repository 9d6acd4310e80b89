/**
 * The memory of a session's slices on its way to a file and back: all of it, or nothing is changed. What is in use is saved, to its highest and
 * lowest byte; what lies free between allocations reads as zero afterwards.
 */
import { SluiceError, toSluiceError } from "../../shared/errors.ts";
import type { DeviceSlice } from "../device/device.ts";
import { giveBackFreed } from "../device/host-memory.ts";
import { PIECE_BYTES_MAX, SavedMemory, type SavedPiece } from "./saved-memory.ts";
import type { OpenSlice } from "./workspace.ts";

/** Allocations with less than this between them are saved as one. */
const GAP_BYTES_MAX = 64 * 1024;
/** Pieces that are read and decrypted ahead of the device. */
const READ_AHEAD = 4;

/** Bytes that nobody has any more. */
export class LostMemory extends SluiceError {
  constructor(what: string) {
    super("EXECUTOR_FAILED", `${what}, so the lease ends.`);
  }
}

const spoiled = ({ slice, address }: SavedPiece): LostMemory =>
  new LostMemory(`The saved memory of the device [${slice}] at [0x${address.toString(16)}] is not what was written`);

type Range = { readonly start: number; readonly end: number };
type Parkable = OpenSlice & { readonly device: Required<Pick<DeviceSlice, "releaseMemory" | "retakeMemory">> };

/**
 * Saves what the slices hold and gives their memory back. `signal` has it given up; no call is under way.
 * @throws SluiceError after which all is as before: STORE_FAILED, UNSUPPORTED, CANCELLED, and what a device throws. LostMemory where it cannot be as before
 */
export async function releaseSlices(
  slices: readonly OpenSlice[],
  { folder, signal }: { readonly folder: string; readonly signal: AbortSignal },
): Promise<SavedMemory> {
  const parkable = slices.map(requireParkable);
  for (const { device } of parkable) await unlessGivenUp(device.synchronize(), signal);
  const saved = await SavedMemory.create(folder);
  try {
    for (const slice of parkable) await saveSlice(slice, saved, signal);
    await saved.written();
    if (signal.aborted) throw givenUp();
    await releaseAll(parkable, saved);
    giveBackFreed();
    return saved;
  } catch (error) {
    await saved.close();
    throw error;
  }
}

/**
 * Takes the memory of the slices again and fills it.
 * @throws SluiceError after which it is given back as before: OUT_OF_MEMORY, STORE_FAILED; LostMemory
 */
export async function retakeSlices(
  slices: readonly OpenSlice[],
  saved: SavedMemory,
  signal: AbortSignal,
): Promise<void> {
  const taken: Parkable[] = [];
  try {
    for (const slice of slices.map(requireParkable)) {
      await slice.device.retakeMemory();
      taken.push(slice);
    }
    await fillSlices(taken, saved, signal);
  } catch (error) {
    if (error instanceof LostMemory) throw error;
    for (const { device } of taken) await device.releaseMemory();
    throw error;
  }
}

function requireParkable(slice: OpenSlice): Parkable {
  const { device, assignment } = slice;
  if (device.releaseMemory !== undefined && device.retakeMemory !== undefined) return slice as Parkable;
  throw new SluiceError("UNSUPPORTED", `A device of the kind [${assignment.description.kind}] keeps its memory.`);
}

/** Ranges in use, and what little lies between them. */
function* spansOf({ allocations }: OpenSlice): Generator<Range> {
  let span: Range | undefined;
  for (const range of allocations.ranges()) {
    if (span !== undefined && range.start - span.end >= GAP_BYTES_MAX) {
      yield span;
      span = undefined;
    }
    span = { start: span?.start ?? range.start, end: range.end };
  }
  if (span !== undefined) yield span;
}

async function saveSlice(slice: OpenSlice, saved: SavedMemory, signal: AbortSignal): Promise<void> {
  const { device, index } = slice;
  const block = new Uint8Array(PIECE_BYTES_MAX);
  for (const { start, end } of spansOf(slice)) {
    for (let address = start; address < end; address += PIECE_BYTES_MAX) {
      if (signal.aborted) throw givenUp();
      const byteCount = Math.min(PIECE_BYTES_MAX, end - address);
      await saved.add({ slice: index, address }, await bytesOf(device, address, block.subarray(0, byteCount)));
    }
  }
}

/** Memory of the device's own, or a copy in `into`. */
async function bytesOf(device: DeviceSlice, address: number, into: Uint8Array): Promise<Uint8Array> {
  const view = device.view?.(address, into.byteLength);
  if (view !== undefined) return view;
  await (device.readAsIs?.(address, into) ?? device.read(address, into, undefined));
  return into;
}

/** Where the second device keeps its memory, the first has its own again. */
async function releaseAll(slices: readonly Parkable[], saved: SavedMemory): Promise<void> {
  const released: Parkable[] = [];
  try {
    for (const slice of slices) {
      await slice.device.releaseMemory();
      released.push(slice);
    }
  } catch (error) {
    await retakeSlices(released, saved, new AbortController().signal).catch((other: unknown) => {
      const [why, whyNot] = [error, other].map((failure) => toSluiceError(failure).message);
      throw new LostMemory(`A device keeps its memory [${why}], and another does not get its own again [${whyNot}]`);
    });
    throw error;
  }
}

async function fillSlices(slices: readonly Parkable[], saved: SavedMemory, signal: AbortSignal): Promise<void> {
  const devices = new Map(slices.map(({ index, device }) => [index, device as DeviceSlice]));
  const pieces = saved.pieces.filter(({ slice }) => devices.has(slice));
  const read = (at: number): Promise<Uint8Array | undefined> | undefined => {
    const reading = pieces[at] && saved.read(pieces[at]);
    // Whoever comes to wait for it hears; until then it is nobody's.
    reading?.catch(() => {});
    return reading;
  };
  const ahead = pieces.slice(0, READ_AHEAD).map((_, at) => read(at));
  for (const [at, piece] of pieces.entries()) {
    if (signal.aborted) throw givenUp();
    const bytes = await ahead.shift();
    ahead.push(read(at + READ_AHEAD));
    if (bytes === undefined) throw spoiled(piece);
    const device = devices.get(piece.slice)!;
    await (device.writeAsIs?.(piece.address, bytes) ?? device.write(piece.address, bytes, undefined));
  }
  for (const { device } of slices) await (device as DeviceSlice).synchronize();
}

/** A kernel may take as long as it likes; what comes of it then is the session's to hear. */
function unlessGivenUp(work: void | Promise<void>, signal: AbortSignal): void | Promise<void> {
  if (!(work instanceof Promise)) return;
  return new Promise((resolve, reject) => {
    const giveUp = (): void => reject(givenUp());
    signal.addEventListener("abort", giveUp, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", giveUp));
  });
}

const givenUp = (): SluiceError => new SluiceError("CANCELLED", "The suspension is given up.");
