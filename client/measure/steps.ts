/**
 * Steps of a small training and of its inference, on any device: the digit classifier of the examples on images that show nothing.
 * What the images show does not change what a step costs.
 */
import { type Batch, DigitClassifier, type DigitsOnDevice, uploadDigits } from "../examples/classifier.ts";
import { PIXELS } from "../examples/digits.ts";
import type { Device, DeviceBuffer } from "../index.ts";

const IMAGES = 1024;
const BATCH_MAX = 256;
const RATE = 0.01;

/** Device memory that a classifier needs, with room. */
export const TRAINING_BYTES = 64 * 1024 * 1024;

export type Workload = "training" | "training-upload" | "inference";

export interface Trainer {
  readonly gpu: Device;
  readonly classifier: DigitClassifier;
  readonly digits: DigitsOnDevice;
  readonly order: DeviceBuffer;
  /** The pixels of all images. */
  readonly images: Uint8Array;
}

export async function loadTrainer(gpu: Device): Promise<Trainer> {
  const images = Uint8Array.from({ length: IMAGES * PIXELS }, (_, index) => (index * 2_654_435_761) >>> 24);
  const labels = Uint8Array.from({ length: IMAGES }, (_, index) => index % 10);
  const digits = uploadDigits(gpu, { images, labels, count: IMAGES });
  const order = gpu.upload(Uint32Array.from({ length: IMAGES }, (_, index) => index));
  const classifier = await DigitClassifier.load(gpu, { batchMax: BATCH_MAX, seed: 1 });
  await gpu.synchronize();
  return { gpu, classifier, digits, order, images };
}

/** Nanoseconds per step. Training asks for an answer once, behind the last step; an inference asks for one each. */
export async function steps(
  trainer: Trainer,
  options: { workload: Workload; batch: number; count: number; rounds: number },
): Promise<number[]> {
  const times: number[] = [];
  for (let round = -1; round < options.rounds; round++) {
    const start = process.hrtime.bigint();
    for (let step = 0; step < options.count; step++) await runStep(trainer, options, step);
    if (options.workload !== "inference") await trainer.gpu.synchronize();
    if (round >= 0) times.push(Number(process.hrtime.bigint() - start) / options.count);
  }
  return times;
}

async function runStep(
  trainer: Trainer,
  { workload, batch: count }: { workload: Workload; batch: number },
  step: number,
) {
  const { classifier, digits, order, images } = trainer;
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
