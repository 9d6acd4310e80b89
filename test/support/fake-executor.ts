/**
 * A small executor that speaks the wire over a socket, for tests of the client: it remembers what it was sent, keeps memory, and can
 * misbehave on demand. It shares no code with the client; what a real server does is tested end to end elsewhere.
 */
import { createHash, createHmac, randomBytes } from "node:crypto";
import { createServer, type Server, type Socket } from "node:net";
import { type ErrorCode, errorTable } from "../../shared/errors.ts";
import {
  callTable,
  decodeCopyCachedCall,
  decodeCopyFromDeviceCall,
  decodeCopyToDeviceCall,
  decodeHello,
  decodeImageWriteCall,
  decodeLaunchCall,
  decodeModuleLoadCachedCall,
  encodeAttachAnswer,
  encodeCompileAnswer,
  encodeCopyCachedAnswer,
  encodeCopyFromDeviceAnswer,
  encodeEventElapsedAnswer,
  encodeEventQueryAnswer,
  encodeFailure,
  encodeGreeting,
  encodeMemoryInfoAnswer,
  encodeModuleLoadCachedAnswer,
  encodeOutput,
  encodeRefusal,
  encodeStackLimitAnswer,
  encodeSurfaceCreateAnswer,
  encodeTextureCreateAnswer,
  encodeWelcome,
  FINGERPRINT,
  FrameKind,
  type Hello,
  type KernelInfo,
  PROTOCOL_VERSION,
} from "../../shared/generated/calls.ts";
import { CALL_DATA_BYTES_MAX } from "../../shared/limits.ts";
import { callsOf, type Frame, FrameReader, FrameWriter, messageFrame } from "../../shared/wire/frame.ts";
import type { WireWriter } from "../../shared/wire/wire-buffer.ts";

export const ARENA_BASE = 0x6000_0000_0000;

export interface SeenCall {
  readonly sequence: number;
  readonly name: string;
  /** The call's body, copied. */
  readonly body: Uint8Array;
}

export interface SeenLaunch {
  readonly module: number;
  readonly kernel: number;
  readonly grid: readonly number[];
  readonly block: readonly number[];
  readonly sharedBytes: number;
  readonly stream: number;
  readonly params: Uint8Array;
}

export interface FakeExecutorOptions {
  readonly secret: Uint8Array;
  readonly arenaBytes?: number;
  readonly granularityBytes?: number;
  readonly kernels?: readonly KernelInfo[];
  readonly fingerprint?: string;
  /** Says WELCOME with the proof of another secret. */
  readonly wrongProof?: boolean;
  /** Calls that it says in WELCOME that it has. Default: none. */
  readonly received?: number;
  /** Answers HELLO with a refusal. */
  readonly refuse?: { readonly code: ErrorCode; readonly message: string };
  /** Says nothing at all. */
  readonly silent?: boolean;
  /** Whether streams and events are done when asked. Default: they are. */
  readonly done?: () => boolean;
  /** False keeps no bytes, as a server without a cache. */
  readonly keeps?: boolean;
  /** Answers these calls with a failure instead of executing them. */
  readonly failing?: (
    call: SeenCall,
  ) => { readonly code: ErrorCode; readonly message: string; readonly sequence?: number } | undefined;
}

const names = new Map(callTable.map((entry) => [entry.opcode, entry]));

export class FakeExecutor {
  readonly calls: SeenCall[] = [];
  readonly launches: SeenLaunch[] = [];
  /** Number of calls in each CALLS frame, and its acknowledgement. */
  readonly frames: { readonly calls: number; readonly ack: number; readonly bytes: number }[] = [];
  readonly hellos: Hello[] = [];
  /** Connections that came. */
  accepted = 0;
  goodbyes = 0;
  /** Modules that are loaded. */
  modules = 0;
  /** What it keeps: pieces and images by the hexadecimal SHA-256 of their pieces. */
  readonly kept = new Map<string, Uint8Array>();
  readonly #images = new Map<number, Uint8Array>();
  /** While true, answers are kept back; `answerHeld` sends them. */
  holding = false;
  readonly #options: FakeExecutorOptions;
  readonly #server: Server;
  readonly #memory: Uint8Array;
  #held: { readonly sequence: number; readonly send: (writer: FrameWriter) => void }[] = [];
  #socket: Socket | undefined;
  #sequence = 0;
  #unacknowledgedBytes = 0;

  private constructor(options: FakeExecutorOptions) {
    this.#options = options;
    this.#memory = new Uint8Array(options.arenaBytes ?? 1 << 20);
    this.#server = createServer((socket) => this.#accept(socket));
  }

  static async start(options: FakeExecutorOptions): Promise<FakeExecutor> {
    const executor = new FakeExecutor(options);
    await new Promise<void>((resolve) => executor.#server.listen(0, "127.0.0.1", resolve));
    return executor;
  }

  get endpoint(): string {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("The fake executor does not listen.");
    return `tcp://127.0.0.1:${address.port}`;
  }

  get port(): number {
    return Number(this.endpoint.split(":").at(-1));
  }

  get arena(): Uint8Array {
    return this.#memory;
  }

  get connected(): boolean {
    return this.#socket !== undefined && !this.#socket.destroyed;
  }

  names(): string[] {
    return this.calls.map((call) => call.name);
  }

  /** Breaks the connection, as a killed process does. */
  cut(): void {
    this.#socket?.resetAndDestroy();
  }

  /** Closes the connection behind what was sent. */
  hangUp(): void {
    this.#socket?.end();
  }

  /** Stops reading, as a slow device does. */
  pause(): void {
    this.#socket?.pause();
  }

  resume(): void {
    this.#socket?.resume();
  }

  send(bytes: Uint8Array): void {
    this.#socket?.write(bytes);
  }

  refuse(code: ErrorCode, message: string): void {
    this.send(messageFrame(FrameKind.REFUSAL, { code: errorTable[code].wire, message }, encodeRefusal));
    this.#socket?.end();
  }

  print(text: string): void {
    this.send(messageFrame(FrameKind.OUTPUT, { text }, encodeOutput));
  }

  /** Sends the answers kept back, in the order given by `order` (default: as they came). */
  answerHeld(order: (sequences: readonly number[]) => readonly number[] = (all) => all): void {
    this.holding = false;
    const held = new Map(this.#held.map((answer) => [answer.sequence, answer]));
    this.#held = [];
    const writer = new FrameWriter();
    for (const sequence of order([...held.keys()])) held.get(sequence)?.send(writer);
    this.#write(writer.finish(FrameKind.ANSWERS, this.#sequence));
  }

  async close(): Promise<void> {
    this.#socket?.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #accept(socket: Socket): void {
    this.accepted++;
    this.#socket = socket;
    this.#sequence = 0;
    socket.on("error", () => {});
    if (this.#options.silent) return;
    const nonce = randomBytes(32);
    const greeting = {
      protocolVersion: PROTOCOL_VERSION,
      fingerprint: this.#options.fingerprint ?? FINGERPRINT,
      serverVersion: "fake",
      nonce,
    };
    socket.write(messageFrame(FrameKind.GREETING, greeting, encodeGreeting));
    const reader = new FrameReader();
    socket.on("data", (chunk: Uint8Array) => {
      reader.push(chunk);
      for (let frame = reader.next(); frame !== undefined; frame = reader.next()) this.#onFrame(frame, nonce);
    });
  }

  #onFrame(frame: Frame, nonce: Uint8Array): void {
    if (frame.kind === FrameKind.HELLO) this.#onHello(decodeHello(frame.buffer, frame.start, frame.end), nonce);
    else if (frame.kind === FrameKind.CALLS) this.#onCalls(frame);
    else if (frame.kind === FrameKind.GOODBYE) {
      this.goodbyes++;
      this.#write(new FrameWriter(16).finish(FrameKind.GOODBYE));
      this.#socket?.end();
    }
  }

  #onHello(hello: Hello, nonce: Uint8Array): void {
    this.hellos.push({ ...hello, nonce: Uint8Array.from(hello.nonce), sessionId: Uint8Array.from(hello.sessionId) });
    const { refuse, secret, wrongProof, received = 0 } = this.#options;
    const expected = createHmac("sha256", secret)
      .update("client")
      .update(nonce)
      .update(hello.nonce)
      .update(hello.sessionId)
      .digest();
    if (refuse !== undefined) this.refuse(refuse.code, refuse.message);
    else if (!expected.equals(hello.proof)) this.refuse("WRONG_SECRET", "The proof is wrong.");
    else {
      const key = wrongProof ? randomBytes(32) : secret;
      const proof = createHmac("sha256", key)
        .update("server")
        .update(hello.nonce)
        .update(nonce)
        .update(hello.sessionId)
        .digest();
      this.send(
        messageFrame(FrameKind.WELCOME, { proof, executed: 0, devices: 1, resumeMs: 0, received }, encodeWelcome),
      );
    }
  }

  #onCalls(frame: Frame): void {
    const bytes = frame.end - frame.start + 16;
    this.frames.push({ calls: frame.count, ack: frame.ack, bytes });
    this.#unacknowledgedBytes += bytes;
    const writer = new FrameWriter();
    for (const view of callsOf(frame)) {
      const entry = names.get(view.opcode)!;
      const sequence = ++this.#sequence;
      const body = frame.buffer.u8.slice(view.start, view.end);
      this.calls.push({ sequence, name: entry.name, body });
      const run = this.#execute(entry.name, frame, view);
      if (!entry.answered) continue;
      const failure = this.#options.failing?.(this.calls.at(-1)!);
      const send = (to: FrameWriter): void => {
        if (failure === undefined) to.answer({ sequence, status: 0 }, undefined, run);
        else {
          const failed = failure.sequence ?? sequence;
          const { name } = this.calls.find((call) => call.sequence === failed)!;
          const fields = {
            sequence: failed,
            opcode: callTable.find((call) => call.name === name)!.opcode,
            nativeCode: 0,
            nativeName: "",
            message: failure.message,
          };
          to.answer({ sequence, status: errorTable[failure.code].wire }, fields, encodeFailure);
        }
      };
      if (this.holding) this.#held.push({ sequence, send });
      else send(writer);
      if (writer.byteLength > 1 << 19) this.#write(writer.finish(FrameKind.ANSWERS, this.#sequence));
    }
    if (writer.count > 0 || this.#unacknowledgedBytes >= 256 * 1024) {
      this.#unacknowledgedBytes = 0;
      this.#write(writer.finish(FrameKind.ANSWERS, this.#sequence));
    }
  }

  /** Executes a call and returns what writes its answer. */
  #execute(name: string, frame: Frame, view: { start: number; end: number }): (writer: WireWriter) => void {
    const { buffer } = frame;
    const { start, end } = view;
    const arenaBytes = this.#memory.byteLength;
    if (name === "copyToDevice" || name === "copyToDeviceKept") {
      const call = decodeCopyToDeviceCall(buffer, start, end);
      this.#memory.set(call.data, call.address - ARENA_BASE);
      if (name === "copyToDeviceKept" && this.#options.keeps !== false) this.#keep(call.data);
    } else if (name === "copyCached") {
      const call = decodeCopyCachedCall(buffer, start, end);
      const pieces = Array.from({ length: call.hashes.byteLength / 32 }, (_, index) =>
        this.kept.get(hex(call.hashes.subarray(index * 32, index * 32 + 32))),
      );
      for (const [index, piece] of pieces.entries())
        if (piece) this.#memory.set(piece, call.address - ARENA_BASE + index * CALL_DATA_BYTES_MAX);
      const held = Uint8Array.from(pieces, (piece) => (piece === undefined ? 0 : 1));
      return (writer) => encodeCopyCachedAnswer(writer, { held });
    } else if (name === "imageWrite") {
      const call = decodeImageWriteCall(buffer, start, end);
      const image = this.#images.get(call.image) ?? new Uint8Array(call.totalBytes);
      image.set(call.data, call.offset);
      this.#images.set(call.image, image);
    } else if (name === "launch") {
      const call = decodeLaunchCall(buffer, start, end);
      const grid = [call.gridX, call.gridY, call.gridZ];
      const block = [call.blockX, call.blockY, call.blockZ];
      this.launches.push({ ...call, grid, block, params: Uint8Array.from(call.params) });
    } else if (name === "copyFromDevice") {
      const call = decodeCopyFromDeviceCall(buffer, start, end);
      const at = call.address - ARENA_BASE;
      const data = this.#memory.slice(at, at + call.byteCount);
      return (writer) => encodeCopyFromDeviceAnswer(writer, { data });
    } else if (name === "attach") {
      const granularityBytes = this.#options.granularityBytes ?? 1;
      return (writer) => encodeAttachAnswer(writer, { ...attachAnswer, arenaBytes, granularityBytes });
    } else if (name === "moduleLoadCached") {
      const kernels = this.#options.kernels ?? [];
      const held = this.#hasImage(decodeModuleLoadCachedCall(buffer, start, end)) ? 1 : 0;
      this.modules += held;
      const answer = { held, kernels: held ? kernels : [], globals: [], reservedBytes: 0 };
      return (writer) => encodeModuleLoadCachedAnswer(writer, answer);
    } else if (name === "moduleUnload") this.modules--;
    else if (name === "compile") {
      this.modules++;
      const answer = { kernels: this.#options.kernels ?? [], globals: [], log: "", reservedBytes: 0 };
      return (writer) => encodeCompileAnswer(writer, answer);
    } else if (name === "textureCreate") return (writer) => encodeTextureCreateAnswer(writer, { object: 1 });
    else if (name === "surfaceCreate") return (writer) => encodeSurfaceCreateAnswer(writer, { object: 1 });
    else if (name === "stackLimit") return (writer) => encodeStackLimitAnswer(writer, { reservedBytes: 0 });
    else if (name === "memoryInfo") {
      return (writer) => encodeMemoryInfoAnswer(writer, { freeBytes: arenaBytes, totalBytes: arenaBytes });
    } else if (name === "eventElapsed") return (writer) => encodeEventElapsedAnswer(writer, { milliseconds: 1.5 });
    else if (name === "eventQuery" || name === "streamQuery")
      return (writer) => encodeEventQueryAnswer(writer, { done: (this.#options.done?.() ?? true) ? 1 : 0 });
    return () => {};
  }

  #keep(bytes: Uint8Array): void {
    this.kept.set(hashesOf(bytes), Uint8Array.from(bytes));
  }

  /** Whether there is an image to load; one that is sent is kept. */
  #hasImage(call: { readonly image: number; readonly hashes: Uint8Array }): boolean {
    if (call.image === 0) return this.kept.has(hex(call.hashes));
    if (this.#options.keeps !== false) this.#keep(this.#images.get(call.image)!);
    return true;
  }

  #write(bytes: Uint8Array): void {
    // The writer's buffer is used again: a copy goes out.
    this.#socket?.write(Uint8Array.from(bytes));
  }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

/** The hashes of the pieces, one behind the other. */
function hashesOf(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.byteLength; at += CALL_DATA_BYTES_MAX) {
    text += createHash("sha256")
      .update(bytes.subarray(at, at + CALL_DATA_BYTES_MAX))
      .digest("hex");
  }
  return text;
}

const attachAnswer = {
  arenaBase: ARENA_BASE,
  capabilityMajor: 8,
  capabilityMinor: 0,
  driverVersion: 13_000,
  kind: "null",
  name: "Fake",
  uuid: "null:0",
  attributes: [
    { attribute: 16, value: 4 },
    { attribute: 97, value: 101_376 },
  ],
  stagingPath: "",
  stagingName: "",
  stagingBytes: 0,
};

/** A kernel's description with the given parameters as [type, size], laid out one behind the other. */
export function kernelInfo(name: string, params: readonly (readonly [type: number, size: number])[]): KernelInfo {
  let offset = 0;
  const placed = params.map(([type, size]) => {
    const alignment = type === 4 ? 8 : size;
    offset = Math.ceil(offset / alignment) * alignment;
    const param = { offset, size, alignment, type };
    offset += size;
    return param;
  });
  return {
    name,
    params: placed,
    paramBytes: offset,
    threadsPerBlockMax: 1024,
    sharedBytes: 0,
    localBytes: 0,
    constantBytes: 0,
    registers: 0,
    ptxVersion: 90,
    binaryVersion: 0,
    usesHeap: 0,
    refusalCode: 0,
    refusal: "",
  };
}
