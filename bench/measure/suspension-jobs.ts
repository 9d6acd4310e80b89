/** Jobs of a worker whose lease is suspended and goes on: what each takes, and what a disk takes for the same bytes. */
import { randomFillSync } from "node:crypto";
import { closeSync, fdatasyncSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { since } from "../../client/measure/calls.ts";
import { openControl, openLease, type Target } from "./target.ts";

const MiB = 1024 * 1024;

export interface SuspensionTimes {
  /** From the request until the memory is back in the pool. */
  readonly suspend: number[];
  /** From the request until the next call is answered. */
  readonly resume: number[];
  /** A plain write of the same bytes to a file of the same disk, with fdatasync, and a read of it. */
  readonly write: number[];
  readonly read: number[];
}

/** `bytes` is all that the lease holds: random, or never written. */
export async function suspensions(options: {
  readonly target: Target;
  readonly bytes: number;
  readonly isWritten: boolean;
  readonly rounds: number;
}): Promise<SuspensionTimes> {
  const { target, bytes, isWritten, rounds } = options;
  const control = openControl(target);
  const { lease } = await openLease(control, target, { memory: String(bytes + 64 * MiB) });
  const times: SuspensionTimes = { suspend: [], resume: [], write: [], read: [] };
  try {
    const [gpu] = lease.devices;
    const buffer = gpu.alloc(bytes);
    const piece = new Uint8Array(16 * MiB);
    if (isWritten)
      for (let offset = 0; offset < bytes; offset += piece.byteLength) {
        randomFillSync(piece);
        buffer.write(piece, { offset });
        await gpu.flush();
      }
    const probe = gpu.upload(Uint32Array.of(7));
    await gpu.synchronize();
    for (let round = 0; round < rounds; round++) {
      let start = process.hrtime.bigint();
      await lease.suspend();
      times.suspend.push(since(start));
      start = process.hrtime.bigint();
      await lease.resume();
      const [word] = await probe.read(Uint32Array);
      times.resume.push(since(start));
      if (word !== 7) throw new Error(`A word of the lease is [${word}] after it was suspended.`);
      if (isWritten) measureDisk(piece, bytes, times);
    }
  } finally {
    await lease.release();
    control.close();
  }
  return times;
}

function measureDisk(piece: Uint8Array, bytes: number, times: SuspensionTimes): void {
  const path = join(tmpdir(), `sluice-bench-disk-${process.pid}`);
  const fd = openSync(path, "wx+", 0o600);
  try {
    let start = process.hrtime.bigint();
    for (let at = 0; at < bytes; at += piece.byteLength) writeSync(fd, piece, 0, piece.byteLength, at);
    fdatasyncSync(fd);
    times.write.push(since(start));
    start = process.hrtime.bigint();
    for (let at = 0; at < bytes; at += piece.byteLength) readSync(fd, piece, 0, piece.byteLength, at);
    times.read.push(since(start));
  } finally {
    closeSync(fd);
    rmSync(path);
  }
}
