/**
 * A rehearsal: an executor that waits as a spare works through a small session of its own, on a null device and over a socket that
 * nobody else can reach. So the code that every session runs is compiled before the first client comes, which then waits some
 * milliseconds less. It touches no lease and no device that is lent.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as codec from "../../shared/generated/calls.ts";
import { ARENA_BASE } from "../../shared/limits.ts";
import { FrameWriter, messageFrame } from "../../shared/wire/frame.ts";
import { nullDriver } from "../device/null/driver.ts";
import { Session } from "./session.ts";
import { UsageCounter } from "./usage.ts";
import { Workspace } from "./workspace.ts";

const ARENA_BYTES = 1024 * 1024;
/** Enough for the interpreter to know what it sees; more would only heat the processor. */
const ROUNDS = 12;

/**
 * Goes on while `wanted` says so; a session of a lease must not begin before this has settled. Rejects with whatever is wrong: an
 * executor works without a rehearsal too.
 */
export async function rehearse(wanted: () => boolean): Promise<void> {
  const { mine, sessions } = await socketPair();
  const [description] = await nullDriver.discover("1x1MiB");
  const slice = { description: description!, arenaBytes: ARENA_BYTES, arenaBase: ARENA_BASE };
  const open = () => nullDriver.open({ ...slice, kernelTimeoutMs: 0, onOutput: () => {} });
  const work = new Workspace([slice], open, { isLocal: true });
  const session = new Session({
    resumeMs: 1,
    // Its client is in this process.
    waitsBehindAnswers: false,
    work,
    usage: new UsageCounter(),
    beforeGoodbye: () => work.close(),
  });
  session.attach({
    socket: sessions,
    received: new Uint8Array(0),
    clientReceived: 0,
    welcome: (position) => {
      const welcome = { proof: new Uint8Array(32), devices: 1, ...position };
      return messageFrame(codec.FrameKind.WELCOME, welcome, codec.encodeWelcome);
    },
  });
  let rounds = 0;
  // Each piece that comes back, the WELCOME first, lets the next round go out.
  for await (const _piece of mine) {
    if (++rounds > ROUNDS || !wanted()) break;
    mine.write(roundOfCalls());
  }
  mine.destroy();
  await session.ended;
}

/** What a first job does: attach, allocate, copy there, wait, copy back. */
function roundOfCalls(): Uint8Array {
  const calls = new FrameWriter(1024);
  const { Opcode } = codec;
  const where = { address: ARENA_BASE, stream: 0 };
  calls.call(Opcode.attach, { device: 0 }, codec.encodeAttachCall);
  calls.call(Opcode.allocate, { address: ARENA_BASE, byteCount: 256 }, codec.encodeAllocateCall);
  calls.call(Opcode.copyToDevice, { ...where, data: new Uint8Array(64) }, codec.encodeCopyToDeviceCall);
  calls.call(Opcode.deviceSynchronize, { device: 0 }, codec.encodeDeviceSynchronizeCall);
  calls.call(Opcode.copyFromDevice, { ...where, byteCount: 64 }, codec.encodeCopyFromDeviceCall);
  calls.call(Opcode.free, { address: ARENA_BASE }, codec.encodeFreeCall);
  return calls.finish(codec.FrameKind.CALLS);
}

/** Two ends of one connection, in a folder that only this user can enter and that is gone when this resolves. */
async function socketPair(): Promise<{ readonly mine: Socket; readonly sessions: Socket }> {
  const folder = mkdtempSync(join(tmpdir(), "sluice-rehearsal-"));
  const server = createServer({ pauseOnConnect: true });
  try {
    const accepted = new Promise<Socket>((resolve) => server.once("connection", resolve));
    const path = join(folder, "socket");
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(path, resolve);
    });
    const mine = connect(path);
    mine.on("error", () => mine.destroy());
    return { mine, sessions: await accepted };
  } finally {
    server.close();
    rmSync(folder, { recursive: true, force: true });
  }
}
