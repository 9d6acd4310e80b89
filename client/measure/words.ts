/** What the figures of a server mean for a job, in sentences. Pure: figures in, words out. */
import { formatNumber } from "./format.ts";
import { type ServerReport, SMALL_BYTES } from "./server-suite.ts";

/** A job as far as a network is concerned. */
export interface Job {
  /** How long a step takes on a device in the job's own machine. */
  readonly stepMs: number;
  /** Calls of a step that wait for an answer: reading a loss, a synchronise, a memory copy back. */
  readonly answersPerStep: number;
}

/** Below the first a network is hardly seen even by chatty programs; above the second every answer counts. */
const GOOD_NS = 100e3;
const SLOW_NS = 1e6;

/** Less than this part is nothing that a measurement of some steps can tell. */
const NOTHING_MORE = 0.005;

const ns = (value: number): string => formatNumber(value, "ns");

/** Whole per cent from ten on, a tenth below. */
const percentOf = (part: number): string => `${part < 0.1 ? (part * 100).toFixed(1) : Math.round(part * 100)} %`;

function verdictOf(answeredNs: number): string {
  if (answeredNs <= GOOD_NS)
    return "That is a good network for this: even programs that ask often run close to local speed.";
  if (answeredNs <= SLOW_NS) {
    return "Training in batches runs close to local speed; programs that wait for an answer after every few launches will notice.";
  }
  return "Let few calls wait for answers: read losses every so many steps, and use large batches for inference.";
}

export function wordsOf(report: ServerReport, { stepMs, answersPerStep }: Job): string[] {
  const small = report.answered.find(({ payloadBytes }) => payloadBytes === SMALL_BYTES)!;
  const share = (small.p50 * answersPerStep) / (stepMs * 1e6);
  const calls = `${answersPerStep} answered ${answersPerStep === 1 ? "call" : "calls"}`;
  const words = [
    `Your network and Sluice add ${ns(small.p50)} to each call that waits for an answer (99 of 100 within ${ns(small.p99)}).`,
    `At ${calls} per step of ${stepMs} ms that is ${percentOf(share)}. A call that needs no answer costs the job ${ns(report.issueNs)}.`,
    verdictOf(small.p50),
  ];
  const [single, ...others] = report.throughput;
  const best = others.toSorted((a, b) => b.callsPerSecond - a.callsPerSecond)[0];
  if (single !== undefined && best !== undefined) {
    const times = formatNumber(best.callsPerSecond / single.callsPerSecond, "ratio");
    words.push(
      `Calls sent together are executed ${times} as fast as calls sent one by one; the library sends them together.`,
    );
    if (report.device.kind === "cpu") {
      words.push(
        "Their rate is that of the device, which is the server's own processor: no network is measured by it.",
      );
    }
  }
  const large = report.copies.at(-1);
  if (large !== undefined) {
    const rate = (time: number): string => formatNumber(large.bytes / (time / 1e9), "bytesPerSecond");
    const size = formatNumber(large.bytes, "bytes");
    words.push(`Copies of ${size} travel at ${rate(large.toNs)} to the device and ${rate(large.fromNs)} from it.`);
  }
  return [...words, ...wordsOfWork(report)];
}

function wordsOfWork({ work, device }: ServerReport): string[] {
  // Its kernels do nothing, so a step of it is no step.
  if (device.kind === "null") return [];
  const [seldom, each] = work
    .filter(({ workload }) => workload === "training")
    .toSorted((a, b) => b.stepsPerAnswer - a.stepsPerAnswer);
  if (seldom === undefined || each === undefined) return [];
  const more = each.stepNs / seldom.stepNs - 1;
  const howMuch = more < NOTHING_MORE ? "no" : percentOf(more);
  return [
    `A step of the example training takes ${ns(seldom.stepNs)} with an answer every ${seldom.stepsPerAnswer} steps, and ${howMuch} more with one in each.`,
  ];
}
