/** Work areas in the server's memory: kept until their streams have done all their work, and never without end. */
import { expect, test } from "vitest";
import type { CudaContext } from "../../server/device/cuda/context.ts";
import { HOST_WORK_BYTES_MAX, HostWork } from "../../server/device/cuda/host-work.ts";
import { CudaStream } from "../../server/device/cuda/stream.ts";

const NOT_READY = 600;

/** Streams that are busy, by their handles. */
function standing(): { context: CudaContext; busy: Set<number> } {
  const busy = new Set<number>();
  const api = { cuStreamQuery: (stream: number) => (busy.has(stream) ? NOT_READY : 0) };
  return { context: { api } as unknown as CudaContext, busy };
}

/** Of so many bytes, without having them. */
const areaOf = (byteLength: number): Uint8Array => ({ byteLength }) as Uint8Array;

test("an area is kept as long as its stream is busy, and goes with the next one or with the stream", () => {
  const { context, busy } = standing();
  const work = new HostWork(context);
  const [one, two] = [new CudaStream(1), new CudaStream(2)];
  const use = (stream: CudaStream, ...sizes: readonly number[]): void => {
    const areas = sizes.map(areaOf);
    work.makeRoom(areas);
    work.keep(stream, areas);
  };
  busy.add(1).add(2);
  use(one, 100);
  use(two, 30, 3);
  expect(work.byteCount).toBe(133);
  busy.delete(1);
  use(two, 7);
  expect(work.byteCount).toBe(40);
  work.forget(two);
  expect(work.byteCount).toBe(0);
});

test("work that is not done cannot have them without end", () => {
  const { context, busy } = standing();
  const work = new HostWork(context);
  const stream = new CudaStream(9);
  busy.add(9);
  work.makeRoom([areaOf(HOST_WORK_BYTES_MAX - 1)]);
  work.keep(stream, [areaOf(HOST_WORK_BYTES_MAX - 1)]);
  work.makeRoom([areaOf(1)]);
  expect(() => work.makeRoom([areaOf(2)])).toThrow(expect.objectContaining({ code: "OUT_OF_MEMORY" }));
  busy.delete(9);
  work.makeRoom([areaOf(HOST_WORK_BYTES_MAX)]);
  expect(work.byteCount).toBe(0);
});
