/**
 * What a session adds to what its lease has used: batches, calls, answers, bytes, time of the devices, and how long answers take. It looks at what the
 * session's parts have counted once per batch and adds what is new; it holds nothing up and changes nothing of theirs.
 */
import { NO_BYTES } from "../../shared/byte-count.ts";
import type { Acknowledgement } from "./acknowledgement.ts";
import type { AnswerStream } from "./answer-stream.ts";
import type { Outgoing } from "./outgoing.ts";
import type { UsageCounter } from "./usage.ts";
import type { Workspace } from "./workspace.ts";

/** The parts of the session that are looked at. */
export interface UsageSources {
  readonly work: Workspace;
  readonly outgoing: Outgoing;
  readonly answers: AnswerStream;
  readonly acknowledgement: Acknowledgement;
}

export class SessionUsage {
  readonly #usage: UsageCounter;
  readonly #sources: UsageSources;
  /** When what runs now was found, when the batch of it that is being run was, and the answers whose time is noted. */
  #foundAt = 0;
  #takenAt = 0;
  #timedAnswers = 0;
  #countedCalls = 0;
  #countedAnswers = 0;
  #countedBytes = NO_BYTES;
  #countedStagedBytes = NO_BYTES;
  /** Time spent on calls, for devices that do not measure their own. */
  #busyMs = 0;
  #countedBusyMs = 0;
  #countedDeviceMs = 0;

  constructor(usage: UsageCounter, sources: UsageSources) {
    this.#usage = usage;
    this.#sources = sources;
  }

  received(byteCount: number): void {
    this.#usage.bytesReceived += byteCount;
  }

  /** Beside what goes out as frames of the session. */
  sent(byteCount: number): void {
    this.#usage.bytesSent += byteCount;
  }

  /** What is taken from now on was found at this time. */
  found(nowMs: number): void {
    this.#foundAt = nowMs;
  }

  batch(calls: number): void {
    this.#takenAt = this.#foundAt;
    this.#usage.batches++;
    this.#usage.shape.batch(calls);
  }

  busy(milliseconds: number): void {
    this.#busyMs += milliseconds;
  }

  /** Answers are about to be sent; whether there are any. */
  answered(nowMs: number): boolean {
    const answers = this.#sources.answers.answersSent - this.#timedAnswers;
    if (answers <= 0) return false;
    this.#timedAnswers += answers;
    this.#usage.shape.answered(answers, nowMs - this.#takenAt);
    return true;
  }

  /** Adds all but the time of the devices. */
  count(): void {
    const { work, outgoing, answers, acknowledgement } = this.#sources;
    const { staged } = work;
    const { answersSent } = answers;
    const { executed } = acknowledgement;
    const bytesSent = outgoing.byteCount + staged.fromDevice;
    this.#usage.bytesReceived += staged.toDevice - this.#countedStagedBytes;
    this.#usage.calls += executed - this.#countedCalls;
    this.#usage.answers += answersSent - this.#countedAnswers;
    this.#usage.bytesSent += bytesSent - this.#countedBytes;
    this.#countedStagedBytes = staged.toDevice;
    this.#countedCalls = executed;
    this.#countedAnswers = answersSent;
    this.#countedBytes = bytesSent;
  }

  /** Adds the time that the devices worked since it was counted last. Asks the devices, so not for every batch. */
  countDeviceTime(): void {
    const measured = this.#sources.work.deviceTimeMs();
    if (measured === undefined) this.#usage.deviceMs += this.#busyMs - this.#countedBusyMs;
    else {
      this.#usage.deviceMs += measured - this.#countedDeviceMs;
      this.#countedDeviceMs = measured;
    }
    this.#countedBusyMs = this.#busyMs;
  }
}
