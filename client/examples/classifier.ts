/**
 * A digit classifier on a borrowed device: 784 inputs, 64 hidden units with ReLU, 10 classes with softmax, trained by
 * stochastic gradient descent with momentum. The kernels are in mnist.cu. Nothing here waits for the device except `metrics`.
 */
import type { Device, DeviceBuffer, Kernel } from "../index.ts";
import { type Digits, PIXELS } from "./digits.ts";
import { examplePtx } from "./package-files.ts";

const HIDDEN = 64;
const CLASSES = 10;
const TILE = 32;
const MOMENTUM = 0.9;

/** A set of digits on the device. */
export interface DigitsOnDevice {
  readonly images: DeviceBuffer;
  readonly labels: DeviceBuffer;
  readonly count: number;
}

/** Seeded numbers in [0, 1) (xorshift32), so that every run learns the same. */
export function randomNumbers(seed: number): () => number {
  let state = seed | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

export function uploadDigits(gpu: Device, { images, labels, count }: Digits): DigitsOnDevice {
  return { images: gpu.upload(images), labels: gpu.upload(labels), count };
}

export interface Batch {
  readonly digits: DigitsOnDevice;
  /** Numbers of images, as 32-bit words on the device. */
  readonly order: DeviceBuffer;
  /** The batch is this part of `order`. */
  readonly first: number;
  readonly count: number;
}

export class DigitClassifier {
  readonly #kernels: Record<"forward" | "output" | "backward" | "outputUpdate" | "hiddenUpdate", Kernel>;
  readonly #hidden: DeviceBuffer;
  readonly #hiddenErrors: DeviceBuffer;
  readonly #errors: DeviceBuffer;
  readonly #metrics: DeviceBuffer;
  readonly #weights: readonly [hidden: DeviceBuffer, output: DeviceBuffer];
  readonly #velocities: readonly [hidden: DeviceBuffer, output: DeviceBuffer];

  private constructor(gpu: Device, kernel: (name: string) => Kernel, options: { batchMax: number; seed: number }) {
    const random = randomNumbers(options.seed);
    const spread = (count: number, limit: number): Float32Array =>
      Float32Array.from({ length: count }, () => (random() * 2 - 1) * limit);
    const zeroed = (floats: number): DeviceBuffer => gpu.upload(new Float32Array(floats));
    const withBias = (rows: number, columns: number): DeviceBuffer => {
      const weights = new Float32Array((rows + 1) * columns);
      weights.set(spread(rows * columns, Math.sqrt(3 / rows)));
      return gpu.upload(weights);
    };
    this.#kernels = {
      forward: kernel("hidden_forward"),
      output: kernel("output_forward"),
      backward: kernel("hidden_backward"),
      outputUpdate: kernel("output_update"),
      hiddenUpdate: kernel("hidden_update"),
    };
    this.#hidden = gpu.alloc(options.batchMax * HIDDEN * 4);
    this.#hiddenErrors = gpu.alloc(options.batchMax * HIDDEN * 4);
    this.#errors = gpu.alloc(options.batchMax * CLASSES * 4);
    this.#metrics = zeroed(2);
    this.#weights = [withBias(PIXELS, HIDDEN), withBias(HIDDEN, CLASSES)];
    this.#velocities = [zeroed((PIXELS + 1) * HIDDEN), zeroed((HIDDEN + 1) * CLASSES)];
  }

  /** `batchMax`: the largest batch, of training or test, in images. */
  static async load(gpu: Device, options: { batchMax: number; seed: number }): Promise<DigitClassifier> {
    const module = await gpu.load(examplePtx("mnist"));
    return new DigitClassifier(gpu, (name) => module.kernel(name), options);
  }

  #forward({ digits, order, first, count }: Batch, errors: DeviceBuffer | 0n): void {
    const [hiddenWeights, outputWeights] = this.#weights;
    const part = order.at(first * 4);
    this.#kernels.forward.launch({ grid: [HIDDEN / TILE, Math.ceil(count / TILE)], block: [8, 8] }, [
      count,
      digits.images,
      part,
      hiddenWeights,
      this.#hidden,
    ]);
    this.#kernels.output.launch({ grid: Math.ceil(count / 64), block: 64 }, [
      count,
      this.#hidden,
      outputWeights,
      digits.labels,
      part,
      errors,
      this.#metrics,
    ]);
  }

  /** One step of training. Issues five launches and waits for nothing. */
  train(batch: Batch, rate: number): void {
    const { digits, order, first, count } = batch;
    this.#forward(batch, this.#errors);
    this.#kernels.backward.launch({ grid: Math.ceil((count * HIDDEN) / 128), block: 128 }, [
      count,
      this.#hidden,
      this.#weights[1],
      this.#errors,
      this.#hiddenErrors,
    ]);
    this.#kernels.outputUpdate.launch({ grid: Math.ceil(((HIDDEN + 1) * CLASSES) / 64), block: 64 }, [
      count,
      this.#hidden,
      this.#errors,
      this.#weights[1],
      this.#velocities[1],
      rate,
      MOMENTUM,
    ]);
    this.#kernels.hiddenUpdate.launch({ grid: [HIDDEN / TILE, Math.ceil((PIXELS + 1) / TILE)], block: [8, 8] }, [
      count,
      digits.images,
      order.at(first * 4),
      this.#hiddenErrors,
      this.#weights[0],
      this.#velocities[0],
      rate,
      MOMENTUM,
    ]);
  }

  /** Counts losses and right guesses without learning. */
  test(batch: Batch): void {
    this.#forward(batch, 0n);
  }

  /** Sum of losses and number of right guesses since the last call: the one answer that is waited for. */
  async metrics(): Promise<{ loss: number; right: number }> {
    const [loss, right] = await this.#metrics.read(Float32Array);
    this.#metrics.fill(0);
    return { loss: loss!, right: right! };
  }
}
