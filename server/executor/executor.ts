/**
 * What an executor process does with the daemon's messages: takes its one lease, and works through its sessions one after the
 * other. Each session begins with fresh devices. Knows no channel: messages go out through the function it is given.
 */
import type { Socket } from "node:net";
import { type ErrorCode, SluiceError, toSluiceError } from "../../shared/errors.ts";
import { encodeWelcome, FINGERPRINT, FrameKind } from "../../shared/generated/calls.ts";
import { messageFrame } from "../../shared/wire/frame.ts";
import type { DeviceDescription, DeviceSlice } from "../device/device.ts";
import { refuse } from "../session/refusal.ts";
import { ContentCache } from "./content-cache.ts";
import {
  type ExecutorUsage,
  type FromExecutor,
  LOCAL_CLIENT_ADDRESS,
  type SliceAssignment,
  type ToExecutor,
} from "./control-messages.ts";
import { LeaseTurns } from "./device-turns.ts";
import { loadDriver } from "./drivers.ts";
import { OpeningSteps } from "./opening-steps.ts";
import { Parking, type Work } from "./parking.ts";
import { Session } from "./session.ts";
import { openSettled } from "./settling.ts";
import { prepareTurnPages, TurnPage } from "./turn-page.ts";
import { UsageCounter } from "./usage.ts";
import { Watchdog } from "./watchdog.ts";
import { type OpenDevice, Workspace } from "./workspace.ts";

type Assignment = Extract<ToExecutor, { kind: "assign" }>;
type SessionMessage = Extract<ToExecutor, { kind: "session" }>;
type Client = Pick<SessionMessage, "clientAddress" | "sessionId">;

/** What a driver may take for the first context of a machine with many cards when it was asleep. */
const OPENING_MS_MAX = 60_000;
/** And for a program or a library: thousands of kernels that come as PTX take minutes. */
const LOADING_MS_MAX = 600_000;
/** A connection that is silent so long is asked whether it still is one. */
const KEEP_ALIVE_MS = 10_000;

export interface ExecutorOptions {
  readonly send: (message: FromExecutor) => void;
  /** Called when it takes its lease, before anything else happens for that. */
  readonly onAssigned: (leaseId: string) => void;
  /** Called when it ends with no daemon there, with what its lease has used. */
  readonly onOrphaned?: (usage: ExecutorUsage) => void;
  /** Runs once before it says that it is ready, while `wanted` says so; no session begins before it has settled. Default: nothing. */
  readonly rehearse?: (wanted: () => boolean) => Promise<void>;
  /** Where what a suspended lease holds is saved, unless the daemon names another folder. Default: it can not be suspended. */
  readonly savesIn?: string;
  /** The lease cannot go on, and its client has been told: the process is to end when all that was sent is on its way. */
  readonly onFailed?: () => void;
  /** As a session's. Default: it does. */
  readonly waitsBehindAnswers?: boolean;
}

export class Executor {
  readonly #options: ExecutorOptions;
  readonly #usage = new UsageCounter();
  readonly #warn = (message: string): void => this.#send({ kind: "log", level: "warn", message });
  #assignment: Assignment | undefined;
  #cache: ContentCache | undefined;
  /** The session that there is. */
  #current: Work | undefined;
  readonly #parking: Parking;
  #toldCalls = 0;
  #toldBusy = false;
  /** Of the session, from the message that brings it to its end. */
  #client: Client | undefined;
  /** It was told to end, or its device is broken. */
  #isLast = false;
  /** A driver that never answers ends this process; one that takes long does not silence it. */
  #watchdog: Watchdog | undefined;
  /** By their files. */
  readonly #pages = new Map<string, TurnPage>();
  /** Settles at its end. */
  #rehearsal: Promise<void> | undefined;

  constructor(options: ExecutorOptions) {
    this.#options = options;
    this.#parking = new Parking({
      current: () => this.#current,
      onLost: (error) => void this.#fail(error),
    });
  }

  /** How long to live on without a daemon; undefined: not at all. */
  get orphanTimeoutMs(): number | undefined {
    return this.#assignment?.orphanTimeoutMs;
  }

  /** Tells a daemon that has just come where things stand. */
  greet(): void {
    const { leaseId } = this.#assignment ?? {};
    this.#send({
      kind: "hello",
      fingerprint: FINGERPRINT,
      isLast: this.#isLast,
      parkState: this.#parking.state,
      savedBytes: this.#parking.savedBytes,
      ...(leaseId === undefined ? {} : { leaseId, usage: this.#usage.now() }),
      ...this.#client,
    });
  }

  /** Carries out one message. */
  async receive(message: ToExecutor, socket: Socket | undefined): Promise<void> {
    switch (message.kind) {
      case "prepare":
        await this.#prepare(message.deviceKinds);
        await this.#rehearse();
        this.#send({ kind: "ready" });
        return;
      case "assign":
        this.#options.onAssigned(message.leaseId);
        this.#usage.startFrom(message.usage);
        this.#assignment = message;
        this.#cache = message.cache && new ContentCache({ ...message.cache, onProblem: this.#warn });
        return;
      case "session":
        if (socket !== undefined) this.#client = { clientAddress: message.clientAddress, sessionId: message.sessionId };
        await this.#rehearsal;
        this.#send({ kind: "sessionStarted" });
        if (socket !== undefined) this.#connect(message, socket);
        // The client was gone before its socket arrived.
        else if (this.#current === undefined) this.#ended(false);
        return;
      case "resize":
        await this.#resize(message);
        return;
      case "park":
      case "unpark":
        await this.#suspend(message);
        return;
      case "end":
        this.#isLast = true;
        await this.#end(new SluiceError(message.code, message.message));
        this.#send({ kind: "ended" });
        return;
    }
  }

  /** No daemon has come for the whole time-out: tells the client so. */
  async endOrphaned(): Promise<void> {
    this.#isLast = true;
    const message = `No server comes back within [${this.orphanTimeoutMs}] ms, so the lease ends.`;
    await this.#end(new SluiceError("EXECUTOR_FAILED", message));
    this.#options.onOrphaned?.(this.#usage.now());
  }

  /** Tells the daemon what the lease has cost since it was told last. */
  reportUsage(): void {
    this.#current?.session.countDeviceTime();
    const usage = this.#usage.changes();
    if (usage !== undefined) this.#send({ kind: "usage", usage, shape: this.#usage.shape.take() });
  }

  /** Tells the daemon whether the lease is in use, if it is, and once when it no longer is. One whose work is suspended is not idle. */
  reportActivity(): void {
    const { calls } = this.#usage;
    const isBusy = this.#parking.state !== "running" || this.#current?.session.isBusy === true;
    if (calls !== this.#toldCalls || isBusy || this.#toldBusy) this.#send({ kind: "active", isBusy });
    // Who was quiet is heard at once: the lease may be about to end for that.
    else this.#current?.session.onceCalled(() => this.#send({ kind: "active", isBusy: false }));
    this.#toldCalls = calls;
    this.#toldBusy = isBusy;
  }

  async #resize({ index, arenaBytes }: Extract<ToExecutor, { kind: "resize" }>): Promise<void> {
    try {
      if (this.#parking.state !== "running")
        throw new SluiceError(
          "SESSION_BUSY",
          "The lease's work is suspended, and its slices keep their sizes until it goes on.",
        );
      const now = this.#current;
      await now?.session.between(() => now.work.resize(index, arenaBytes));
      const slices = this.#assignment?.slices.map((slice, at) => (at === index ? { ...slice, arenaBytes } : slice));
      if (this.#assignment !== undefined && slices !== undefined) this.#assignment = { ...this.#assignment, slices };
      this.#send({ kind: "resized", index });
    } catch (error) {
      const { code, message } = toSluiceError(error);
      this.#send({ kind: "resized", index, error: { code, message } });
    }
  }

  async #suspend(message: Extract<ToExecutor, { kind: "park" | "unpark" }>): Promise<void> {
    const { id } = message;
    let error: { readonly code: ErrorCode; readonly message: string } | undefined;
    try {
      if (message.kind === "unpark") await this.#parking.unpark();
      else {
        const folder = message.folder ?? this.#options.savesIn;
        if (folder === undefined) throw new SluiceError("UNSUPPORTED", "There is no folder for what the lease holds.");
        await this.#parking.park(folder);
      }
    } catch (cause) {
      const { code, message: words } = toSluiceError(cause);
      error = { code, message: words };
    }
    const outcome = error === undefined ? {} : { error };
    if (message.kind === "unpark") this.#send({ kind: "unparked", id, ...outcome });
    else {
      const { savedBytes, keptBytes } = this.#parking;
      const kept = keptBytes.some((bytes) => bytes > 0) ? { keptBytes } : {};
      this.#send({ kind: "parked", id, savedBytes, ...kept, ...outcome });
    }
  }

  async #fail(error: SluiceError): Promise<void> {
    this.#isLast = true;
    await this.#end(error);
    this.#send({ kind: "failed", message: error.message });
    this.#options.onFailed?.();
  }

  /** What the first session would have to wait for, and no lease is needed for. */
  async #prepare(deviceKinds: readonly DeviceDescription["kind"][]): Promise<void> {
    const drivers = await Promise.all(deviceKinds.map(loadDriver));
    // One that was started for a lease has a client that waits: what it needs of this it loads itself, and the rest it does without.
    if (this.#isSpare) await Promise.all(drivers.map((driver) => driver.prepare?.()));
    prepareTurnPages();
    // Only hardware is asked for its health, and only what is hardware can hang.
    if (drivers.some(({ health }) => health !== undefined)) this.#watchdog ??= new Watchdog();
  }

  get #isSpare(): boolean {
    return this.#assignment === undefined;
  }

  /** Only a spare has the time for it. */
  async #rehearse(): Promise<void> {
    const { rehearse } = this.#options;
    if (rehearse === undefined || !this.#isSpare) return;
    this.#rehearsal = rehearse(() => this.#isSpare).catch((error: unknown) => {
      this.#send({ kind: "log", level: "warn", message: `The rehearsal fails [${toSluiceError(error).message}].` });
    });
    await this.#rehearsal;
  }

  /** Begins a session, or goes on with the one that there is. */
  #connect(message: SessionMessage, socket: Socket): void {
    const assignment = this.#assignment;
    if (assignment === undefined) throw new Error("A session comes before the lease.");
    if (this.#current === undefined && message.begun) {
      const said = "The session has waited too long for its client, or its executor is gone, and all that it had is.";
      refuse(socket, new SluiceError("SESSION_LOST", said));
      this.#ended(false);
      return;
    }
    socket.setNoDelay(true);
    // A client that is gone without a word is noticed, so that its session does not wait for ever.
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    this.#current ??= this.#begin(assignment, message);
    const proof = Buffer.from(message.welcomeProof, "base64");
    this.#current.session.attach({
      socket,
      received: Buffer.from(message.received, "base64"),
      clientReceived: message.clientReceived,
      welcome: (position) =>
        messageFrame(FrameKind.WELCOME, { proof, devices: assignment.slices.length, ...position }, encodeWelcome),
    });
  }

  #begin(assignment: Assignment, { resumeMs, clientAddress }: SessionMessage): Work {
    const { kernelTimeoutMs } = assignment;
    const open: OpenDevice = (slice, usedBytes) => this.#open(slice, { kernelTimeoutMs, usedBytes });
    const isLocal = clientAddress === LOCAL_CLIENT_ADDRESS;
    const work = new Workspace(assignment.slices, open, { cache: this.#cache, isLocal });
    const finish = (): void => {
      if (this.#current?.session === session) this.#ended(work.needsNewProcess);
    };
    const failed = (error: unknown): void => {
      this.#send({ kind: "log", level: "error", message: `A session's end fails [${toSluiceError(error).message}].` });
      // What is left of its devices is unknown: the daemon sees the exit and ends the lease.
      process.exit(1);
    };
    // The daemon must know that the lease is free before the client does, which may come back at once.
    const beforeGoodbye = (): Promise<void> => work.close().then(finish, failed);
    const { waitsBehindAnswers = true } = this.#options;
    const session = new Session({ resumeMs, work, usage: this.#usage, beforeGoodbye, waitsBehindAnswers });
    session.ended.then(finish, failed);
    this.#parking.began({ session, work });
    return { session, work };
  }

  #ended(needsNewProcess: boolean): void {
    this.#current = undefined;
    this.#client = undefined;
    this.#parking.ended();
    this.#isLast ||= needsNewProcess;
    this.reportUsage();
    this.#send({ kind: "sessionEnded", needsNewProcess });
  }

  async #open(
    assignment: SliceAssignment,
    { kernelTimeoutMs, usedBytes }: { readonly kernelTimeoutMs: number; readonly usedBytes: () => number },
  ): Promise<DeviceSlice> {
    const { description, arenaBytes, arenaBase } = assignment;
    const session = this.#current?.session;
    const isHardware = description.details !== undefined;
    if (isHardware && kernelTimeoutMs > 0) {
      this.#watchdog ??= new Watchdog();
      this.#watchdog.limitCalls(kernelTimeoutMs);
    }
    const driver = await loadDriver(description.kind);
    const onOutput = (text: string): void => session?.print(text);
    const longWork = <T>(work: () => T): T => {
      this.#watchdog ??= new Watchdog();
      return this.#watchdog.allow({ workMsMax: LOADING_MS_MAX, sign: session?.lifeSign(), work });
    };
    const turns = this.#turnsOn(assignment);
    const own = { description, arenaBytes, arenaBase, kernelTimeoutMs, usedBytes };
    const steps = new OpeningSteps();
    const onStep = (what: string): void => steps.add(what);
    const once = () => driver.open({ ...own, turns, onOutput, onStep, longWork });
    const open = () => (isHardware ? openSettled(once) : once());
    const device = await (this.#watchdog?.allow({ workMsMax: OPENING_MS_MAX, sign: session?.lifeSign(), work: open }) ??
      open());
    if (device.arenaBase !== undefined && device.arenaBase !== arenaBase) {
      const [wanted, is] = [arenaBase, device.arenaBase].map((address) => `0x${address.toString(16)}`);
      this.#warn(`The arena on [${description.id}] is not where it was wanted [${wanted}], but at [${is}].`);
    }
    if (isHardware)
      this.#send({ kind: "log", level: "debug", message: `[${description.id}] is open ${steps.told()}.` });
    return device;
  }

  /** Undefined where there is nothing to share: a null device has no time. */
  #turnsOn({ description, arenaBase, compute = 0, turnFile }: SliceAssignment): LeaseTurns | undefined {
    if (turnFile === undefined || description.kind === "null") return undefined;
    const free = `The lease's work on [${description.id}] is not held to its share`;
    try {
      const page = this.#pages.get(turnFile) ?? new TurnPage(turnFile);
      this.#pages.set(turnFile, page);
      const slice = `${this.#assignment?.leaseId} ${arenaBase}`;
      const onFull = (): void => this.#warn(`${free}: as many leases as can take turns do.`);
      const turns = new LeaseTurns({ page, slice, compute, onFull });
      this.#current?.work.turns.push(turns);
      return turns;
    } catch (error) {
      this.#warn(`${free} [${toSluiceError(error).message}].`);
      return undefined;
    }
  }

  async #end(reason: SluiceError): Promise<void> {
    const session = this.#current?.session;
    if (session === undefined) return;
    session.refuse(reason);
    await session.ended;
    this.reportUsage();
  }

  #send(message: FromExecutor): void {
    this.#options.send(message);
  }
}
