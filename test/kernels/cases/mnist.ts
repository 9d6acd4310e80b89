/** The kernels of the MNIST example, one training step at a time. Specification of each: client/examples/mnist.cu. */
import { examplePtx } from "../../../client/examples/package-files.ts";
import type { KernelBuffer, KernelCase } from "../machine.ts";
import { blocksFor, closeAll, download, f32, floats, i32, scratch, seeded, u64, upload } from "../support.ts";

const [INPUTS, HIDDEN, CLASSES] = [784, 64, 10] as const;
const IMAGES = 300;
const [RATE, MOMENTUM] = [Math.fround(0.1), Math.fround(0.9)];

interface Network {
  readonly hiddenWeights: Float32Array;
  readonly outputWeights: Float32Array;
}

interface Batch {
  readonly images: Uint8Array;
  readonly labels: Uint8Array;
  readonly order: Uint32Array;
}

interface Step {
  readonly hidden: Float64Array;
  readonly errors: Float64Array;
  readonly hiddenErrors: Float64Array;
  readonly hiddenGradient: Float64Array;
  readonly outputGradient: Float64Array;
  readonly loss: number;
  readonly right: number;
}

/** One training step in double precision, image by image. */
function reference({ hiddenWeights, outputWeights }: Network, { images, labels, order }: Batch): Step {
  const count = order.length;
  const hidden = new Float64Array(count * HIDDEN);
  const errors = new Float64Array(count * CLASSES);
  const hiddenErrors = new Float64Array(count * HIDDEN);
  const hiddenGradient = new Float64Array((INPUTS + 1) * HIDDEN);
  const outputGradient = new Float64Array((HIDDEN + 1) * CLASSES);
  let [loss, right] = [0, 0];
  order.forEach((image, b) => {
    const pixel = (i: number): number => (i === INPUTS ? 1 : images[image * INPUTS + i]! / 255);
    for (let i = 0; i <= INPUTS; i++)
      for (let j = 0; j < HIDDEN; j++) hidden[b * HIDDEN + j]! += pixel(i) * hiddenWeights[i * HIDDEN + j]!;
    const row = hidden.subarray(b * HIDDEN, (b + 1) * HIDDEN);
    row.forEach((value, j) => {
      row[j] = Math.max(value, 0);
    });
    const logits = Array.from({ length: CLASSES }, (_, c) =>
      row.reduce((sum, h, j) => sum + h * outputWeights[j * CLASSES + c]!, outputWeights[HIDDEN * CLASSES + c]!),
    );
    const sum = logits.reduce((total, value) => total + Math.exp(value), 0);
    loss += Math.log(sum) - logits[labels[image]!]!;
    if (logits.indexOf(Math.max(...logits)) === labels[image]) right++;
    for (let c = 0; c < CLASSES; c++) {
      const error = (Math.exp(logits[c]!) / sum - (c === labels[image] ? 1 : 0)) / count;
      errors[b * CLASSES + c] = error;
      for (let j = 0; j <= HIDDEN; j++) outputGradient[j * CLASSES + c]! += error * (j < HIDDEN ? row[j]! : 1);
      for (let j = 0; j < HIDDEN; j++)
        if (row[j]! > 0) hiddenErrors[b * HIDDEN + j]! += error * outputWeights[j * CLASSES + c]!;
    }
    for (let i = 0; i <= INPUTS; i++)
      for (let j = 0; j < HIDDEN; j++) hiddenGradient[i * HIDDEN + j]! += pixel(i) * hiddenErrors[b * HIDDEN + j]!;
  });
  return { hidden, errors, hiddenErrors, hiddenGradient, outputGradient, loss, right };
}

function stepped(
  weights: Float32Array,
  velocities: Float32Array,
  gradient: Float64Array,
): [Float64Array, Float64Array] {
  const next = Float64Array.from(velocities, (v, i) => MOMENTUM * v + gradient[i]!);
  return [Float64Array.from(weights, (w, i) => w - RATE * next[i]!), next];
}

const trainingStep = (count: number): KernelCase => ({
  name: `a training step of the MNIST example on ${count} images`,
  ptx: "mnist",
  async run(machine) {
    const program = await machine.load(new TextEncoder().encode(examplePtx("mnist")));
    const random = seeded(count);
    const batch: Batch = {
      images: Uint8Array.from({ length: IMAGES * INPUTS }, () => (random.int(4) ? 0 : random.int(256))),
      labels: Uint8Array.from({ length: IMAGES }, () => random.int(CLASSES)),
      order: Uint32Array.from({ length: count }, () => random.int(IMAGES)),
    };
    const small = (length: number): Float32Array => floats(length, () => (random.unit() - 0.5) / 8);
    const network: Network = {
      hiddenWeights: small((INPUTS + 1) * HIDDEN),
      outputWeights: small((HIDDEN + 1) * CLASSES),
    };
    const velocities = [small((INPUTS + 1) * HIDDEN), small((HIDDEN + 1) * CLASSES)] as const;
    const [images, labels, order] = [
      await upload(machine, batch.images),
      await upload(machine, batch.labels),
      await upload(machine, batch.order),
    ];
    const hiddenWeights = await upload(machine, network.hiddenWeights);
    const outputWeights = await upload(machine, network.outputWeights);
    const hiddenVelocities = await upload(machine, velocities[0]);
    const outputVelocities = await upload(machine, velocities[1]);
    const hidden = await scratch(machine, count * HIDDEN * 4);
    const errors = await scratch(machine, count * CLASSES * 4);
    const hiddenErrors = await scratch(machine, count * HIDDEN * 4);
    const metrics = await upload(machine, new Float32Array(2));

    const tiles = [HIDDEN / 32, blocksFor(count, 32), 1] as const;
    const n = i32(count);
    const forward = { kernel: "hidden_forward", grid: tiles, block: [8, 8, 1] } as const;
    const output = { kernel: "output_forward", grid: blocksFor(count, 64), block: 64 };
    await program.launch({ ...forward, args: [n, images, order, hiddenWeights, hidden] });
    // Twice: once as in a test, without errors, which must add to the metrics and write nothing else.
    for (const into of [u64(0n), errors])
      await program.launch({ ...output, args: [n, hidden, outputWeights, labels, order, into, metrics] });
    await program.launch({
      kernel: "hidden_backward",
      grid: blocksFor(count * HIDDEN, 128),
      block: 128,
      args: [n, hidden, outputWeights, errors, hiddenErrors],
    });
    const learning = [f32(RATE), f32(MOMENTUM)];
    await program.launch({
      kernel: "output_update",
      grid: blocksFor((HIDDEN + 1) * CLASSES, 64),
      block: 64,
      args: [n, hidden, errors, outputWeights, outputVelocities, ...learning],
    });
    await program.launch({
      kernel: "hidden_update",
      grid: [HIDDEN / 32, blocksFor(INPUTS + 1, 32), 1],
      block: [8, 8, 1],
      args: [n, images, order, hiddenErrors, hiddenWeights, hiddenVelocities, ...learning],
    });

    const expected = reference(network, batch);
    const check = async (label: string, buffer: KernelBuffer, values: Float64Array): Promise<void> =>
      closeAll(await download(machine, buffer, new Float32Array(values.length)), values, {
        label,
        relative: 1e-4,
        absolute: 2e-6,
      });
    await check("hidden", hidden, expected.hidden);
    await check("errors", errors, expected.errors);
    await check("hidden errors", hiddenErrors, expected.hiddenErrors);
    const [w2, v2] = stepped(network.outputWeights, velocities[1], expected.outputGradient);
    await check("output weights", outputWeights, w2);
    await check("output velocities", outputVelocities, v2);
    const [w1, v1] = stepped(network.hiddenWeights, velocities[0], expected.hiddenGradient);
    await check("hidden weights", hiddenWeights, w1);
    await check("hidden velocities", hiddenVelocities, v1);
    await check("metrics", metrics, Float64Array.of(expected.loss * 2, expected.right * 2));
  },
});

/** A batch that fills its tiles, one that does not, and a single image. */
export const mnistCases: readonly KernelCase[] = [trainingStep(128), trainingStep(77), trainingStep(1)];
