/** Jobs of a worker that trains the demo's digit classifier: on a device in its own process, or on a borrowed one. */
import type { Control } from "../../client/control.ts";
import { type Batch, DigitClassifier, type DigitsOnDevice, uploadDigits } from "../../client/examples/classifier.ts";
import { PIXELS } from "../../client/examples/digits.ts";
import type { Device, DeviceBuffer, Lease } from "../../client/index.ts";
import { openControl, openLease, type Target } from "./target.ts";

/** Images on the device; what they show does not change what a step costs. */
const IMAGES = 1024;
const BATCH_MAX = 256;
const RATE = 0.01;
const ARENA_BYTES = 64 * 1024 * 1024;

export type Workload = "training" | "training-upload" | "inference";

interface Place {
  readonly gpu: Device;
  readonly classifier: DigitClassifier;
  readonly digits: DigitsOnDevice;
  readonly order: DeviceBuffer;
  readonly close: () => Promise<void>;
}

const places = new Map<string, Place>();
const images = Uint8Array.from({ length: IMAGES * PIXELS }, (_, index) => (index * 2_654_435_761) >>> 24);

async function prepare(gpu: Device, close: () => Promise<void>): Promise<Place> {
  const labels = Uint8Array.from({ length: IMAGES }, (_, index) => index % 10);
  const digits = uploadDigits(gpu, { images, labels, count: IMAGES });
  const order = gpu.upload(Uint32Array.from({ length: IMAGES }, (_, index) => index));
  const classifier = await DigitClassifier.load(gpu, { batchMax: BATCH_MAX, seed: 1 });
  await gpu.synchronize();
  return { gpu, classifier, digits, order, close };
}

/** Makes a place under a name: in this process without a target, else under a lease of its server. */
export async function openPlace({ name, target }: { name: string; target?: Target }): Promise<void> {
  if (target === undefined) {
    // Loaded here only: no other job needs the device's compiler in its process.
    const { LocalDevice } = await import("./local-device.ts");
    const local = await LocalDevice.open(ARENA_BYTES);
    // It has what the classifier uses of a device, and TypeScript knows classes with private fields by name only.
    places.set(name, await prepare(local as unknown as Device, () => local.close()));
    return;
  }
  const control: Control = openControl(target);
  const { lease }: { lease: Lease } = await openLease(control, target, { memory: String(ARENA_BYTES) });
  const close = async (): Promise<void> => {
    await lease.release();
    control.close();
  };
  places.set(name, await prepare(lease.devices[0], close));
}

export async function closePlace({ name }: { name: string }): Promise<void> {
  await places.get(name)?.close();
  places.delete(name);
}

/** Nanoseconds per step. Training asks for an answer once, behind the last step; an inference asks for one each. */
export async function steps(options: {
  name: string;
  workload: Workload;
  batch: number;
  count: number;
  rounds: number;
}): Promise<number[]> {
  const place = places.get(options.name);
  if (place === undefined) throw new Error(`There is no place [${options.name}].`);
  const times: number[] = [];
  for (let round = -1; round < options.rounds; round++) {
    const start = process.hrtime.bigint();
    for (let step = 0; step < options.count; step++) await runStep(place, options, step);
    if (options.workload !== "inference") await place.gpu.synchronize();
    if (round >= 0) times.push(Number(process.hrtime.bigint() - start) / options.count);
  }
  return times;
}

async function runStep(place: Place, { workload, batch: count }: { workload: Workload; batch: number }, step: number) {
  const { classifier, digits, order } = place;
  const first = (step * count) % (IMAGES - count);
  const batch: Batch = { digits, order, first, count };
  if (workload === "inference") {
    classifier.test(batch);
    await classifier.metrics();
    return;
  }
  if (workload === "training-upload") digits.images.write(images.subarray(0, count * PIXELS));
  classifier.train(batch, RATE);
}
