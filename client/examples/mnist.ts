/**
 * An ML job on a borrowed quarter of a device: trains a digit classifier on MNIST, tests it, gives the share back, and says
 * what it used. A process of its own that knows only the library; `SLUICE_SERVER` names the server.
 */
import { connect, type Device } from "../index.ts";
import { type Batch, DigitClassifier, type DigitsOnDevice, randomNumbers, uploadDigits } from "./classifier.ts";
import { testDigits, trainingDigits } from "./digits.ts";
import { ACCURACY_WANTED, describeJob, type JobReport } from "./job-report.ts";
import { Progress } from "./progress.ts";

const EPOCHS = 2;
const BATCH = 128;
const TEST_BATCH = 1000;
/** Steps between two answers: the only waits inside the training loop. */
const STEPS_PER_ANSWER = 20;
const SEED = 2026;
/** The rate falls in a straight line from the first to the last. */
const RATE = { first: 0.1, last: 0.01 };

const percent = (part: number): string => `${(part * 100).toFixed(2)} %`;

/** The numbers 0 to count-1, in a random order where there are random numbers. */
function imageOrder(count: number, random?: () => number): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  if (random === undefined) return order;
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}

/** The batches that an order of images is cut into. */
function* batches({ digits, order }: Pick<Batch, "digits" | "order">, size: number): Generator<Batch> {
  for (let first = 0; first < digits.count; first += size)
    yield { digits, order, first, count: Math.min(size, digits.count - first) };
}

async function train(
  classifier: DigitClassifier,
  { gpu, digits }: { gpu: Device; digits: DigitsOnDevice },
): Promise<void> {
  const progress = new Progress(process.stdout);
  const random = randomNumbers(SEED);
  const order = gpu.alloc(digits.count * 4);
  const total = digits.count * EPOCHS;
  let [done, unreported, steps] = [0, 0, 0];
  for (let epoch = 1; epoch <= EPOCHS; epoch++) {
    order.write(imageOrder(digits.count, random));
    for (const batch of batches({ digits, order }, BATCH)) {
      classifier.train(batch, RATE.first + (RATE.last - RATE.first) * (done / total));
      done += batch.count;
      unreported += batch.count;
      steps++;
      if (steps % STEPS_PER_ANSWER !== 0 && done < epoch * digits.count) continue;
      const { loss, right } = await classifier.metrics();
      const speed = Math.round(done / progress.seconds).toLocaleString("en");
      const accuracy = `${((right / unreported) * 100).toFixed(1)} %`;
      const text = `loss ${(loss / unreported).toFixed(3)}  accuracy ${accuracy}  ${speed} images/s`;
      progress.update({ done, total, text });
      unreported = 0;
    }
  }
  progress.finish(
    `Trained ${EPOCHS} times on ${digits.count.toLocaleString("en")} images in ${progress.seconds.toFixed(1)} s.`,
  );
}

/** Part of the images that are recognised. */
async function test(
  classifier: DigitClassifier,
  { gpu, digits }: { gpu: Device; digits: DigitsOnDevice },
): Promise<number> {
  const order = gpu.upload(imageOrder(digits.count));
  for (const batch of batches({ digits, order }, TEST_BATCH)) classifier.test(batch);
  return (await classifier.metrics()).right / digits.count;
}

async function main(): Promise<JobReport> {
  const pool = await connect();
  const lease = await pool.allocate({ devices: 1, fraction: 0.25, wait: "30s", name: "mnist" });
  let accuracy: number;
  {
    await using _ = lease;
    const [gpu] = lease.devices;
    console.log(`Borrowed a quarter of ${gpu.name} (${gpu.id}) as lease ${lease.id}.`);
    const digits = uploadDigits(gpu, trainingDigits());
    await gpu.flush();
    const tests = uploadDigits(gpu, testDigits());
    const classifier = await DigitClassifier.load(gpu, { batchMax: Math.max(BATCH, TEST_BATCH), seed: SEED });
    await train(classifier, { gpu, digits });
    accuracy = await test(classifier, { gpu, digits: tests });
    console.log(
      `Recognised ${percent(accuracy)} of ${tests.count.toLocaleString("en")} test images it had never seen.\n`,
    );
  }
  const all = await pool.devices();
  await pool.close();
  const device = all.find(({ id }) => id === lease.info.slices[0]?.deviceId);
  return {
    accuracy,
    device: device?.id ?? "a device that is gone",
    shareBytes: lease.info.slices[0]?.memoryBytes ?? 0,
    deviceBytes: device?.memoryBytes ?? 0,
    stats: lease.stats,
    lentBytes: all.reduce((sum, { grantedBytes, overheadBytes }) => sum + grantedBytes + overheadBytes, 0),
    slices: all.reduce((sum, { slices }) => sum + slices, 0),
  };
}

try {
  const report = await main();
  console.log(describeJob(report));
  // Where the demo started this process, it checks the report itself.
  process.send?.(report);
  if (report.accuracy < ACCURACY_WANTED) {
    console.error(`The accuracy [${percent(report.accuracy)}] is below [${percent(ACCURACY_WANTED)}].`);
    process.exitCode = 1;
  }
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
} finally {
  if (process.connected) process.disconnect();
}
