/** Jobs of a worker about calls and bytes that need not travel: images, cached uploads, recorded batches, and copies that let others through. */
import { randomFillSync } from "node:crypto";
import type { Device, Kernel, Lease } from "../../client/index.ts";
import { openControl, openLease, type Target } from "./target.ts";

const MEMORY = "1GiB";

export interface Cost {
  readonly ns: number;
  /** Bytes to the device, with all that is around them. */
  readonly bytes: number;
}

/** What earlier jobs sent, so that a later one has the same. */
const sent = new Map<string, Uint8Array>();

function dataOf(name: string, byteCount: number): Uint8Array {
  let data = sent.get(name);
  if (data === undefined) {
    data = new Uint8Array(byteCount);
    randomFillSync(data);
    sent.set(name, data);
  }
  return data;
}

async function withLease<T>(target: Target, work: (lease: Lease, gpu: Device) => Promise<T>): Promise<T> {
  const control = openControl(target);
  const { lease } = await openLease(control, target, { memory: MEMORY });
  try {
    return await work(lease, lease.devices[0]);
  } finally {
    await lease.release();
    control.close();
  }
}

async function costOf(lease: Lease, work: () => Promise<unknown>): Promise<Cost> {
  const before = lease.stats.bytesToDevice;
  const start = process.hrtime.bigint();
  await work();
  return { ns: Number(process.hrtime.bigint() - start), bytes: lease.stats.bytesToDevice - before };
}

const kernelText = (comment: string): string => `.version 7.0
.target sm_70
.address_size 64
// ${comment}
.visible .entry step(.param .u64 x, .param .u64 y, .param .u32 n, .param .f32 a)
{
  ret;
}
`;

/** Loads a program of about `byteCount` bytes under a lease of its own; the same `name` is the same program. */
export function loadImage(options: { target: Target; name: string; byteCount: number }): Promise<Cost> {
  const { target, name, byteCount } = options;
  const image = kernelText(Buffer.from(dataOf(name, Math.ceil((byteCount * 3) / 4))).toString("base64"));
  return withLease(target, (lease, gpu) => costOf(lease, () => gpu.load(image)));
}

/** Uploads under a lease of its own, until the device has the bytes; the same `name` is the same data. */
export function upload(options: { target: Target; name: string; byteCount: number; cached: boolean }): Promise<Cost> {
  const { target, name, byteCount, cached } = options;
  const data = dataOf(name, byteCount);
  return withLease(target, (lease, gpu) =>
    costOf(lease, async () => {
      if (cached) await gpu.upload(data, { cached });
      else gpu.upload(data);
      await gpu.synchronize();
    }),
  );
}

/** Forgets the data of uploads and programs. */
export async function forget(_options: object): Promise<void> {
  sent.clear();
}

/** `launches` launches and a synchronise, sent one by one and replayed with one changed buffer, in turns. */
export function messageSteps(options: {
  target: Target;
  launches: number;
  turns: number;
}): Promise<{ sent: Cost[]; replayed: Cost[] }> {
  const { target, launches, turns } = options;
  return withLease(target, async (lease, gpu) => {
    const kernel: Kernel = (await gpu.load(kernelText("steps"))).kernel("step");
    const [x, y] = [gpu.alloc(1024), gpu.alloc(1024)];
    const grid = { grid: 8, block: 128 };
    const step = gpu.record({ x }, (p) => {
      for (let index = 0; index < launches; index++) kernel.launch(grid, [p.x, y, 256, 0.5]);
    });
    const one = async (issue: () => void): Promise<Cost> => {
      await gpu.synchronize();
      return costOf(lease, () => {
        issue();
        return gpu.synchronize();
      });
    };
    const costs: { sent: Cost[]; replayed: Cost[] } = { sent: [], replayed: [] };
    for (let turn = -3; turn < turns; turn++) {
      const sentOne = await one(() => {
        for (let index = 0; index < launches; index++) kernel.launch(grid, [x, y, 256, 0.5]);
      });
      const replayedOne = await one(() => step.replay({ x: y }));
      if (turn < 0) continue;
      costs.sent.push(sentOne);
      costs.replayed.push(replayedOne);
    }
    return costs;
  });
}

/** A launch and a synchronise in one stream right behind a large upload in another; and how long the upload takes with that. */
export function behindUpload(options: {
  target: Target;
  byteCount: number;
  turns: number;
  overlap: boolean;
}): Promise<{ launchNs: number[]; uploadNs: number[] }> {
  const { target, byteCount, turns, overlap } = options;
  const data = dataOf("behind", byteCount);
  return withLease(target, async (_lease, gpu) => {
    const kernel = (await gpu.load(kernelText("behind"))).kernel("step");
    const [x, large] = [gpu.alloc(1024), gpu.alloc(byteCount)];
    const [loading, working] = [gpu.stream({ waitsForDefault: false }), gpu.stream({ waitsForDefault: false })];
    const times = { launchNs: [] as number[], uploadNs: [] as number[] };
    for (let turn = -1; turn < turns; turn++) {
      await gpu.synchronize();
      const start = process.hrtime.bigint();
      const since = (): number => Number(process.hrtime.bigint() - start);
      const copy = overlap ? large.write(data, { stream: loading, overlap }) : large.write(data, { stream: loading });
      // An ordinary write of this size fills the client's backlog: the program has to wait before its next call.
      if (!overlap) await gpu.flush();
      kernel.launch({ grid: 8, block: 128, stream: working }, [x, x, 256, 0.5]);
      await working.synchronize();
      const launchNs = since();
      await copy;
      await loading.synchronize();
      if (turn < 0) continue;
      times.launchNs.push(launchNs);
      times.uploadNs.push(since());
    }
    return times;
  });
}
