/**
 * A rehearsal: a process that waits as a spare plays the daemon and the client of an executor of its own, which takes a lease of a null
 * device and works through small sessions. All of it goes the way that it will go: messages over a control socket, clients' sockets beside
 * them, calls and answers over those. So the code of a first session is compiled before the first client comes, which then waits some
 * milliseconds less. It touches no lease, no device that is lent, and no file but the mark that it is given.
 */
import { closeSync } from "node:fs";
import type { Socket } from "node:net";
import * as codec from "../../shared/generated/calls.ts";
import { ARENA_BASE } from "../../shared/limits.ts";
import { FrameWriter } from "../../shared/wire/frame.ts";
import { nullDriver } from "../device/null/driver.ts";
import { joinedDescriptors, joinedSockets, socketOf } from "../session/socket-pair.ts";
import { type FromExecutor, LOCAL_CLIENT_ADDRESS, type ToExecutor } from "./control-messages.ts";
import { deliverTo } from "./delivery.ts";
import { Executor } from "./executor.ts";
import { sendHandle } from "./handle-passing.ts";
import { readMessages, writeMessage } from "./message-lines.ts";

const ARENA_BYTES = 1024 * 1024;
/** Enough for the interpreter to know what it sees; more would only heat the processor. */
const SESSIONS = 12;
const PROOF_BYTES = 32;

export interface RehearsalOptions {
  /** Asked before each session; a session of a lease must not begin before the rehearsal has settled. */
  readonly wanted: () => boolean;
  /** What is to happen when the executor takes a lease. */
  readonly onAssigned: () => void;
}

/** Rejects with whatever is wrong: an executor works without a rehearsal too. */
export async function rehearse({ wanted, onAssigned }: RehearsalOptions): Promise<void> {
  const [daemon, executors] = joinedSockets();
  const [sender, receiver] = joinedDescriptors("datagram");
  const executor = new Executor({
    send: (message) => writeMessage(executors, message),
    onAssigned,
    // Its client is in this process.
    waitsBehindAnswers: false,
  });
  try {
    const stage: Stage = { daemon, sender, told: () => {} };
    readMessages(daemon, (message) => stage.told(message as FromExecutor));
    const broken = new Promise<never>((_resolve, reject) => {
      const deliver = deliverTo(executor, receiver);
      readMessages(executors, (message) => void deliver(message).catch(reject));
    });
    broken.catch(() => {});
    await Promise.race([play(stage, wanted), broken]);
  } finally {
    for (const socket of [daemon, executors]) socket.destroy();
    for (const fd of [sender, receiver]) closeSync(fd);
  }
}

/** What the daemon of a rehearsal has. */
interface Stage {
  readonly daemon: Socket;
  readonly sender: number;
  told: (message: FromExecutor) => void;
}

async function play(stage: Stage, wanted: () => boolean): Promise<void> {
  const [description] = await nullDriver.discover("1x1MiB");
  for (let session = 0; session < SESSIONS && wanted(); session++) {
    // Each with a lease of its own, as each will be the first of its own.
    writeMessage(stage.daemon, {
      kind: "assign",
      leaseId: "rehearsal",
      slices: [{ description: description!, arenaBytes: ARENA_BYTES, arenaBase: ARENA_BASE }],
      kernelTimeoutMs: 0,
      orphanTimeoutMs: 0,
      usage: { calls: 0, batches: 0, answers: 0, bytesReceived: 0, bytesSent: 0, deviceMs: 0 },
    } satisfies ToExecutor);
    await playSession(stage, session);
  }
}

/** One client: it attaches, uses the device, and leaves; resolves when its session is over. */
async function playSession(stage: Stage, session: number): Promise<void> {
  const [mine, executors] = joinedDescriptors("stream");
  const client = socketOf(mine);
  const proof = Buffer.alloc(PROOF_BYTES, session + 1);
  const ended = new Promise<void>((resolve) => {
    stage.told = ({ kind }) => {
      if (kind === "sessionEnded") resolve();
    };
  });
  try {
    passOn(stage.sender, executors, proof);
    writeMessage(stage.daemon, {
      kind: "session",
      welcomeProof: proof.toString("base64"),
      received: "",
      clientAddress: LOCAL_CLIENT_ADDRESS,
      sessionId: proof.toString("base64"),
      resumeMs: 1,
      begun: false,
      clientReceived: 0,
    } satisfies ToExecutor);
    client.write(attachment());
    let pieces = 0;
    for await (const _piece of client) {
      // WELCOME, the attached device, and what the device held: each may come with the one before.
      if (++pieces === 1) client.write(firstJob());
      else if (pieces === 2) client.end(new FrameWriter(64).finish(codec.FrameKind.GOODBYE));
    }
    await ended;
  } finally {
    client.destroy();
  }
}

/** Sends a descriptor, which stays open at the receiver alone. */
function passOn(sender: number, fd: number, tag: Uint8Array): void {
  try {
    sendHandle({ sender, fd, tag });
  } finally {
    closeSync(fd);
  }
}

function attachment(): Uint8Array {
  const calls = new FrameWriter(64);
  calls.call(codec.Opcode.attach, { device: 0 }, codec.encodeAttachCall);
  return calls.finish(codec.FrameKind.CALLS);
}

/** What a first job does: allocate, copy there, wait, copy back. */
function firstJob(): Uint8Array {
  const calls = new FrameWriter(1024);
  const { Opcode } = codec;
  const where = { address: ARENA_BASE, stream: 0 };
  calls.call(Opcode.allocate, { address: ARENA_BASE, byteCount: 256 }, codec.encodeAllocateCall);
  calls.call(Opcode.copyToDevice, { ...where, data: new Uint8Array(64) }, codec.encodeCopyToDeviceCall);
  calls.call(Opcode.deviceSynchronize, { device: 0 }, codec.encodeDeviceSynchronizeCall);
  calls.call(Opcode.copyFromDevice, { ...where, byteCount: 64 }, codec.encodeCopyFromDeviceCall);
  calls.call(Opcode.free, { address: ARENA_BASE }, codec.encodeFreeCall);
  return calls.finish(codec.FrameKind.CALLS);
}
