/**
 * An executor as the daemon sees it: a process to start, or to find again, to send messages to, and to see dead. The one place that knows
 * how executors are started and reached; both kinds are talked to in the same way.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { fileURLToPath } from "node:url";
import { type ErrorCode, SluiceError, toSluiceError } from "../../shared/errors.ts";
import { entryPoint } from "../package-files.ts";
import { isThere, type ProcessIdentity } from "../process-identity.ts";
import type { ControlFolders, ControlPaths, FoundFolder } from "./control-folder.ts";
import type { FromExecutor, Outcome, Parked, ToExecutor } from "./control-messages.ts";
import { listenAt, receiverAt, sendHandle } from "./handle-passing.ts";
import { readMessages, writeMessage } from "./message-lines.ts";

/** How long an executor may take to tell its client why it ends, before it is killed. */
const FAREWELL_MS = 500;

/** How often a process that is no child is looked for while it dies, and an executor that cannot be reached is tried again. */
const POLL_MS = 10;

const entry = fileURLToPath(entryPoint("server/executor/main"));

export type Hello = Extract<FromExecutor, { kind: "hello" }>;
export type SessionMessage = Extract<ToExecutor, { kind: "session" }>;

/** Answers that have an `id`, which their questions gave them. */
type ParkAnswer = Extract<FromExecutor, { kind: "parked" | "unparked" }>;

/** What there is of the process itself. */
interface Life {
  /** Resolves when it is dead, and its memory free, with how it died. */
  readonly exited: Promise<string>;
  kill(): void;
  /** Its control socket is closed: it ends, or is to. */
  watch(): void;
  /** This process need not wait for its end. */
  leave(): void;
}

export class ExecutorProcess {
  readonly #folders: ControlFolders;
  readonly #name: string;
  readonly #life: Life;
  readonly #paths: ControlPaths;
  #control: Socket | undefined;
  #dead = false;
  #left = false;
  /** Resolves when the process is dead and its memory free, with how it died. */
  readonly exited: Promise<string>;
  /** Where it stands, by its own word; undefined when it dies before that. */
  readonly hello: Promise<Hello | undefined>;
  #onHello: (hello: Hello | undefined) => void = () => {};
  readonly #ended: Promise<void>;
  #onEnded: () => void = () => {};
  #receive: ((message: FromExecutor) => void) | undefined;
  /** What came before anybody listened. */
  #early: FromExecutor[] = [];
  /** Questions that are not answered. */
  readonly #asked = new Map<number, (answer: ParkAnswer | Outcome) => void>();
  /** No two daemons count alike. */
  #lastId = process.pid * 2 ** 20;
  /** Whether it is of this version. */
  readonly #isOwn: boolean;
  /** Why it ends, by its own word. */
  #failure: string | undefined;

  private constructor(
    { folders, name, isOwn }: { readonly folders: ControlFolders; readonly name: string; readonly isOwn: boolean },
    life: Life,
  ) {
    this.#isOwn = isOwn;
    this.#folders = folders;
    this.#name = name;
    this.#paths = folders.sockets(name);
    this.#life = life;
    this.hello = new Promise((resolve) => {
      this.#onHello = resolve;
    });
    this.#ended = new Promise((resolve) => {
      this.#onEnded = resolve;
    });
    this.exited = life.exited.then(async (how) => {
      await this.#lastWords();
      this.#dead = true;
      this.#onHello(undefined);
      folders.remove(name);
      const why = this.#failure ?? how;
      this.#answerAll(why);
      return why;
    });
  }

  /** Starts a process in a group of its own. What fails is told by `exited`. */
  static start(folders: ControlFolders): ExecutorProcess {
    let name = "";
    const opened: number[] = [];
    try {
      name = folders.create();
      const { control, handles } = folders.sockets(name);
      opened.push(listenAt(control), receiverAt(handles));
      // Both of its outputs go to the daemon's stderr: stdout belongs to the readiness line.
      const child = spawn(process.execPath, [...process.execArgv, entry, folders.path(name)], {
        detached: true,
        stdio: ["ignore", 2, 2, ...opened],
      });
      return new ExecutorProcess({ folders, name, isOwn: true }, lifeOfChild(child)).#connect();
    } catch (error) {
      const exited = Promise.resolve(`cannot be started: ${toSluiceError(error).message}`);
      const life = { exited, kill: () => {}, watch: () => {}, leave: () => {} };
      return new ExecutorProcess({ folders, name, isOwn: true }, life);
    } finally {
      for (const fd of opened) closeSync(fd);
    }
  }

  /** One that an earlier daemon has started and that may still run. */
  static find(folders: ControlFolders, found: FoundFolder & { readonly identity: ProcessIdentity }): ExecutorProcess {
    return new ExecutorProcess({ folders, name: found.name, isOwn: false }, lifeOfStranger(found.identity)).#connect();
  }

  /** Receives its messages from the first one on. */
  set onMessage(receive: (message: FromExecutor) => void) {
    this.#receive = receive;
    for (const message of this.#early.splice(0)) receive(message);
  }

  send(message: ToExecutor): void {
    if (!this.#dead && this.#control !== undefined) writeMessage(this.#control, message);
  }

  /**
   * Sends `session` with the client's socket, which stays open here too. Throws the system's error when the socket cannot be sent; what
   * does not arrive because the process dies is told by `exited`.
   */
  handOver(message: SessionMessage, socket: Socket): void {
    const { _handle: handle } = socket as { _handle?: { fd?: number } | null };
    if (handle?.fd === undefined || handle.fd < 0) throw new Error("The client is gone");
    const tag = Buffer.from(message.welcomeProof, "base64");
    sendHandle({ sender: this.#folders.sender, path: this.#paths.handles, fd: handle.fd, tag });
    this.send(message);
  }

  /**
   * Suspends the lease's work at the next boundary between two calls: what its devices' memory holds goes to a file on this host, and the memory back
   * to the devices. The process, its sessions and all handles stay, and calls that come wait. Resolves once the memory is free, with the bytes
   * in the file; at once where that is so already, also by an earlier daemon. It may take as long as the kernel under way, and as the disk.
   * `folder`: where the file goes, which has no name and is gone with the process; default: the executor's own folder.
   * @throws SluiceError after which all is as before and the work goes on: STORE_FAILED when the file cannot be written, CANCELLED by `unpark`,
   * UNSUPPORTED for a device or an executor that cannot, and the device's own failure, such as one that a kernel's fault has left. EXECUTOR_FAILED
   * when the process is dead
   */
  async park({ folder }: { readonly folder?: string | undefined } = {}): Promise<Parked> {
    const answer = await this.#ask((id) => ({ kind: "park", id, folder }));
    if (!("savedBytes" in answer)) return { savedBytes: 0 };
    const { savedBytes, keptBytes } = answer;
    return { savedBytes, ...(keptBytes === undefined ? {} : { keptBytes }) };
  }

  /**
   * Takes the memory again and goes on, with every byte and every address as before. At once where it is not parked; a `park` that is under way is
   * given up. The caller has seen to it that the devices have the memory.
   * @throws SluiceError after which it is parked as before and may be tried again: OUT_OF_MEMORY where a device has not that much, STORE_FAILED where the
   * file cannot be read now. EXECUTOR_FAILED when the process is dead, or ends because what the file holds is not what was written to it
   */
  async unpark(): Promise<void> {
    await this.#ask((id) => ({ kind: "unpark", id }));
  }

  /** Lets the executor tell its client why, and sees it dead; tells whether it did what it was told, or hung and had to be killed. */
  async end(code: ErrorCode, message: string): Promise<"left" | "killed"> {
    this.#dropLease();
    this.send({ kind: "end", code, message });
    let how: "left" | "killed" = "left";
    const timer = setTimeout(() => {
      how = "killed";
      this.kill();
    }, FAREWELL_MS);
    await Promise.race([this.#ended, this.exited]);
    clearTimeout(timer);
    this.dismiss();
    await this.exited;
    return how;
  }

  /**
   * It is no lease's any more, and dies once what it has said is stored, which is done with the end of the turn: from then on nobody can
   * ask it again.
   */
  dismiss(): void {
    this.#dropLease();
    setImmediate(() => this.kill());
  }

  /** Ends the process at once. */
  kill(): void {
    this.#life.kill();
  }

  /** Leaves the process to the daemon after this one. What it was told is still sent, if this process lives for another turn; nothing waits for it. */
  leave(): void {
    this.#left = true;
    this.#life.leave();
    this.#control?.end();
    this.#control?.unref();
  }

  /** Rejects with the error of the answer. */
  async #ask(question: (id: number) => ToExecutor): Promise<ParkAnswer | Outcome> {
    // What is sent to one that was started here keeps its place among the other messages.
    const hello = this.#isOwn ? undefined : await this.hello;
    if (hello !== undefined && hello.parkState === undefined)
      throw new SluiceError("UNSUPPORTED", "The lease's executor is of a version that cannot suspend its work.");
    const answer = await new Promise<ParkAnswer | Outcome>((resolve) => {
      const id = ++this.#lastId;
      this.#asked.set(id, resolve);
      this.send(question(id));
      if (this.#dead) this.#answerAll(this.#failure ?? "it is gone");
    });
    if (answer.error !== undefined) throw new SluiceError(answer.error.code, answer.error.message);
    return answer;
  }

  #answerAll(how: string): void {
    const error = { code: "EXECUTOR_FAILED", message: `The executor of the lease ended [${how}].` } as const;
    for (const tell of this.#asked.values()) tell({ error });
    this.#asked.clear();
  }

  /** What concerns this object itself. */
  #note(message: FromExecutor): void {
    switch (message.kind) {
      case "hello":
        this.#onHello(message);
        return;
      case "ended":
        this.#onEnded();
        return;
      case "parked":
      case "unparked":
        // One that an earlier daemon has asked for has another's number, or none that is known.
        this.#asked.get(message.id)?.(message);
        this.#asked.delete(message.id);
        return;
      case "failed":
        this.#failure = message.message;
        return;
    }
  }

  /** From now on its death is not its lease's, for the daemon after this one too. */
  #dropLease(): void {
    this.#folders.dropLease(this.#name);
  }

  /** What it said before its end may still be on its way. */
  #lastWords(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#control === undefined || this.#control.closed) resolve();
      else this.#control.once("close", () => resolve());
    });
  }

  #connect(): this {
    const control = connect(this.#paths.control);
    this.#control = control;
    let isBusy = false;
    control.on("error", (error: NodeJS.ErrnoException) => {
      // Its queue of connections is full of those of dead daemons while it works hard.
      isBusy = error.code === "EAGAIN";
    });
    control.once("close", () => {
      if (this.#dead || this.#left) return;
      if (isBusy) setTimeout(() => (this.#dead || this.#left ? undefined : this.#connect()), POLL_MS);
      else this.#life.watch();
    });
    readMessages(control, (value) => {
      if (this.#left) return;
      const message = value as FromExecutor;
      this.#note(message);
      if (this.#receive === undefined) this.#early.push(message);
      else this.#receive(message);
    });
    return this;
  }
}

function lifeOfChild(child: ChildProcess): Life {
  const exited = new Promise<string>((resolve) => {
    child.once("error", (error) => {
      if (child.pid === undefined) resolve(`cannot be started: ${error.message}`);
    });
    child.once("exit", (code, signal) => resolve(signal === null ? `exit code ${code}` : `signal ${signal}`));
  });
  const kill = (): void => {
    child.kill("SIGKILL");
  };
  return {
    exited,
    kill,
    leave: () => child.unref(),
    watch: () => {
      const timer = setTimeout(kill, FAREWELL_MS);
      void exited.then(() => clearTimeout(timer));
    },
  };
}

/** A process that somebody else started tells nobody when it dies: it is looked for. */
function lifeOfStranger(identity: ProcessIdentity): Life {
  let isWatched = false;
  let killAt = Number.POSITIVE_INFINITY;
  let resolveExited: (how: string) => void = () => {};
  const exited = new Promise<string>((resolve) => {
    resolveExited = resolve;
  });
  const look = (): void => {
    if (!isThere(identity)) {
      resolveExited("it is gone");
      return;
    }
    if (performance.now() >= killAt) sendKill(identity.pid);
    setTimeout(look, POLL_MS);
  };
  const watch = (graceMs: number): void => {
    killAt = Math.min(killAt, performance.now() + graceMs);
    if (!isWatched) look();
    isWatched = true;
  };
  return { exited, kill: () => watch(0), watch: () => watch(FAREWELL_MS), leave: () => {} };
}

function sendKill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It died in between.
  }
}
