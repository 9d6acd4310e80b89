/**
 * `npm run check:gpu`: holds a real NVIDIA GPU to the promises of the `cuda` device. Needs the built package with its runtime dependencies, and this
 * checkout for the kernels; no network and no compiler. Prints one table; `--json FILE` writes it too. Exit 77: there is no GPU.
 * `--device N` chooses the card, `--only GROUP,GROUP` some of its groups; with `--quick` the figures mean nothing.
 */
import { cpSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { connect, type Pool } from "../../client/index.ts";
import { cudaDriver } from "../../server/device/cuda/driver.ts";
import type { DeviceDescription } from "../../server/device/device.ts";
import { SluiceError } from "../../shared/errors.ts";
import { CASE_ARENA_BYTES, kernelCases } from "../kernels/cases.ts";
import { openClientMachine } from "../kernels/client-machine.ts";
import type { KernelCase } from "../kernels/machine.ts";
import { startServer } from "../support/server.ts";
import { checks, copyBetween } from "./end-to-end.ts";
import { becomesReady, fullSizes, quickSizes, type Reply, type Row, runJob, type Sizes, start } from "./job.ts";
import { renderTable, writeJson } from "./report.ts";

const EXIT_NO_GPU = 77;
const MiB = 1024 * 1024;
/** One case takes seconds at most, beside the context that its process may have to make. */
const CASES_LIMIT_MS = 240_000;
/** The driver gives a killed process's memory back within this time. */
const RETURN_LIMIT_MS = 10_000;

const say = (text: string): void => {
  process.stderr.write(`${text}\n`);
};

const failureOf = (replies: readonly Reply[], status: string): string =>
  replies.find((reply) => reply.kind === "failed")?.error ?? `the process ended with ${status}`;

const usedBytes = async (device: DeviceDescription): Promise<number | undefined> =>
  (await cudaDriver.health!([device]))[0]!.memoryUsedBytes;

/** Waits until no more memory is used than before; tells how much is left over. */
async function leftOver(device: DeviceDescription, before: number | undefined): Promise<number | undefined> {
  if (before === undefined) return undefined;
  const deadline = performance.now() + RETURN_LIMIT_MS;
  for (;;) {
    const left = ((await usedBytes(device)) ?? before) - before;
    if (left <= 0 || performance.now() > deadline) return Math.max(0, left);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const leakRow = (group: string, left: number | undefined): Row => ({
  group,
  name: "bytes left on the card afterwards",
  unit: "B",
  ...(left === undefined ? { note: "NVML does not tell" } : { value: left, ok: left === 0 }),
});

/** Every kernel fixture, in as few processes as the faults allow. */
async function* checkKernels(device: DeviceDescription): AsyncGenerator<Row> {
  const before = await usedBytes(device);
  const fatbin = await runJob({ kind: "fatbin", device: device.id }, 60_000);
  for (const reply of fatbin.replies) if (reply.kind === "row") yield reply.row;
  const problem = fatbin.replies.find((reply) => reply.kind === "failed")?.error;
  if (problem !== undefined)
    yield { group: "kernels", name: "a fatbin has its text's kernels, and runs", ok: false, note: problem };
  let waiting = kernelCases.map((_, position) => position);
  while (waiting.length > 0) {
    const { replies, status } = await runJob({ kind: "cases", device: device.id, positions: waiting }, CASES_LIMIT_MS);
    const done = replies.filter((reply) => reply.kind === "case");
    for (const { position, error, milliseconds } of done) {
      const note = error === undefined ? {} : { note: error.slice(0, 300) };
      yield {
        group: "kernels",
        name: kernelCases[position]!.name,
        ok: error === undefined,
        value: milliseconds,
        unit: "ms",
        ...note,
      };
    }
    if (done.length === 0) {
      const [position] = waiting;
      yield { group: "kernels", name: kernelCases[position!]!.name, ok: false, note: failureOf(replies, status) };
    }
    const finished = new Set(done.length === 0 ? [waiting[0]] : done.map(({ position }) => position));
    waiting = waiting.filter((position) => !finished.has(position));
    say(`kernels: ${kernelCases.length - waiting.length} of ${kernelCases.length}`);
  }
  yield leakRow("kernels", await leftOver(device, before));
}

/** Memory that one lease leaves is zero for the next, also when the first is killed in the middle of its work. */
async function* checkMemory(device: DeviceDescription): AsyncGenerator<Row> {
  const granule = device.granularityBytes;
  const before = await usedBytes(device);
  const room = device.sliceBytesMax - (before ?? 0);
  const bytes = Math.floor(Math.min(8192 * MiB, room * 0.9) / granule) * granule;
  const holder = start({ kind: "hold", device: device.id, bytes });
  const isReady = await becomesReady(holder, 60_000);
  holder.process.kill("SIGKILL");
  const status = await holder.ended;
  const note = isReady ? {} : { note: failureOf(holder.replies, status) };
  yield {
    group: "memory",
    name: "a lease fills its slice until it is killed",
    ok: isReady,
    value: bytes,
    unit: "B",
    ...note,
  };
  yield leakRow("memory", await leftOver(device, before));
  const zero = await runJob({ kind: "zero", device: device.id, bytes }, 120_000);
  const dirty = zero.replies.find((reply) => reply.kind === "number")?.value;
  const zeroNote = dirty === undefined ? { note: failureOf(zero.replies, zero.status) } : {};
  yield { group: "memory", name: "the next lease finds nothing but zeros", ok: dirty === 0, ...zeroNote };
  const tooMuch = Math.ceil((device.memoryBytes * 2) / granule) * granule;
  const refused = await runJob({ kind: "zero", device: device.id, bytes: tooMuch }, 60_000);
  const error = failureOf(refused.replies, refused.status);
  yield {
    group: "memory",
    name: "a slice beyond the card is refused",
    ok: error.startsWith("OUT_OF_MEMORY"),
    note: error,
  };
  yield leakRow("memory", await leftOver(device, before));
}

/** A lease that faults ends alone. */
async function* checkNeighbours(device: DeviceDescription): AsyncGenerator<Row> {
  const before = await usedBytes(device);
  const steady = start({ kind: "steady", device: device.id });
  const isReady = await becomesReady(steady, 60_000);
  const faulty = await runJob({ kind: "fault", device: device.id }, 60_000);
  const error = failureOf(faulty.replies, faulty.status);
  yield {
    group: "neighbours",
    name: "a store outside the slice ends its lease",
    ok: error.startsWith("ILLEGAL_ADDRESS"),
    note: error,
  };
  await new Promise((resolve) => setTimeout(resolve, 500));
  if (steady.process.connected) steady.process.send("stop");
  const limit = setTimeout(() => steady.process.kill("SIGKILL"), 30_000);
  const status = await steady.ended;
  clearTimeout(limit);
  const rounds = steady.replies.find((reply) => reply.kind === "number")?.value;
  const isWell = isReady && rounds !== undefined && rounds > 0;
  const note = isWell ? {} : { note: failureOf(steady.replies, status) };
  const figures = rounds === undefined ? {} : { value: rounds, unit: "rounds" };
  yield { group: "neighbours", name: "the lease beside it computes on, and right", ok: isWell, ...figures, ...note };
  yield leakRow("neighbours", await leftOver(device, before));
}

async function* checkSpeed(device: DeviceDescription, sizes: Sizes): AsyncGenerator<Row> {
  const before = await usedBytes(device);
  const overhead = await runJob({ kind: "overhead", device: device.id }, 60_000);
  const charged = overhead.replies.find((reply) => reply.kind === "number")?.value;
  yield {
    group: "speed",
    name: "memory charged per lease beside its slice",
    unit: "MiB",
    ...(charged === undefined ? { note: failureOf(overhead.replies, overhead.status) } : { value: charged / MiB }),
  };
  const { replies, status } = await runJob({ kind: "measure", device: device.id, sizes }, 300_000);
  for (const reply of replies) if (reply.kind === "row") yield reply.row;
  if (replies.some(({ kind }) => kind === "failed")) {
    yield { group: "speed", name: "measuring", ok: false, note: failureOf(replies, status) };
  }
  yield leakRow("speed", await leftOver(device, before));
}

/** The promises of a lease, through a real server; behind each of them nothing may be left on the card. */
async function* checkPromises(device: DeviceDescription): AsyncGenerator<Row> {
  const group = "end to end";
  const before = await usedBytes(device);
  const args = ["--device", device.id, "--kernel-timeout", "2s", "--heartbeat-timeout", "3s"];
  await using server = await startServer({ args });
  await using pool = await connect({ server: server.grpc });
  for (const [name, check] of Object.entries(checks)) {
    say(`end to end: ${name}`);
    let note: string | undefined;
    let ok = true;
    try {
      note = await check({ pool, server, device });
    } catch (error) {
      note = (error instanceof Error ? error.message : String(error)).slice(0, 300);
      ok = false;
    }
    const left = await leftOver(device, before);
    const leak = left === undefined || left === 0 ? {} : { ok: false, note: `[${left}] bytes are left on the card` };
    yield { group, name, ok, ...(note === undefined ? {} : { note }), ...leak };
  }
  yield* checkPair(group);
}

/** Where there are two cards: a lease of both, and bytes that pass between them. */
async function* checkPair(group: string): AsyncGenerator<Row> {
  const name = "bytes pass between the two devices of a lease";
  const cards = await cudaDriver.discover("");
  if (cards.length < 2) {
    yield { group, name, note: "there is one card" };
    return;
  }
  await using server = await startServer({ args: ["--device", "cuda"] });
  await using pool = await connect({ server: server.grpc });
  let error: string | undefined;
  try {
    await copyBetween(pool);
  } catch (caught) {
    error = caught instanceof Error ? caught.message : String(caught);
  }
  yield { group, name, ok: error === undefined, ...(error === undefined ? {} : { note: error }) };
}

/** Every kernel fixture once more, through a real server and the client library. */
async function* checkRemoteKernels(device: DeviceDescription): AsyncGenerator<Row> {
  const group = "remote kernels";
  const before = await usedBytes(device);
  {
    await using server = await startServer({ args: ["--device", device.id] });
    await using pool = await connect({ server: server.grpc });
    const cases = kernelCases.filter(({ kernelTimeoutMs }) => kernelTimeoutMs === undefined);
    for (const [index, kernelCase] of cases.entries()) {
      const error = await runRemotely(pool, kernelCase);
      const note = error === undefined ? {} : { note: error.slice(0, 300) };
      yield { group, name: kernelCase.name, ok: error === undefined, ...note };
      if (index % 10 === 9) say(`remote kernels: ${index + 1} of ${cases.length}`);
    }
  }
  yield leakRow(group, await leftOver(device, before));
}

/** What borrowing costs, beside the same work in one process. */
async function* checkRemote(device: DeviceDescription, sizes: Sizes): AsyncGenerator<Row> {
  const before = await usedBytes(device);
  {
    await using server = await startServer({ args: ["--device", device.id] });
    const job = { kind: "remote", device: device.id, server: server.grpc, sizes } as const;
    const { replies, status } = await runJob(job, 300_000);
    for (const reply of replies) if (reply.kind === "row") yield reply.row;
    if (replies.at(-1)?.kind !== "row") {
      yield { group: "remote", name: "measuring", ok: false, note: failureOf(replies, status) };
    }
  }
  yield leakRow("remote", await leftOver(device, before));
}

async function runRemotely(pool: Pool, kernelCase: KernelCase): Promise<string | undefined> {
  try {
    const machine = await openClientMachine(pool, { memoryBytes: CASE_ARENA_BYTES });
    try {
      await kernelCase.run(machine);
    } finally {
      await machine.close();
    }
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

const groups = {
  kernels: checkKernels,
  memory: checkMemory,
  neighbours: checkNeighbours,
  speed: checkSpeed,
  "end to end": checkPromises,
  "remote kernels": checkRemoteKernels,
  remote: checkRemote,
};

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      json: { type: "string" },
      device: { type: "string", default: "0" },
      only: { type: "string", default: "" },
      quick: { type: "boolean", default: false },
    },
  });
  const json = values.json === undefined ? undefined : resolve(values.json);
  let device: DeviceDescription;
  try {
    device = (await cudaDriver.discover(values.device))[0]!;
  } catch (error) {
    if (!(error instanceof SluiceError) || error.code !== "DEVICE_FAILED") throw error;
    say(`Nothing is checked, for there is no GPU to check: ${error.message}`);
    return EXIT_NO_GPU;
  }
  // Paths below are those of the checkout, wherever this was started.
  process.chdir(fileURLToPath(new URL("../../..", import.meta.url)));
  // The compiler leaves the kernels where they are; the cases look for them beside themselves.
  cpSync("test/kernels/ptx", "dist/test/kernels/ptx", { recursive: true });
  const { name, details } = device;
  say(`${name}, ${details?.uuid}, driver ${details?.driverVersion}, CUDA ${details?.cudaVersion}`);
  const started = performance.now();
  const rows: Row[] = [];
  for (const [group, check] of Object.entries(groups)) {
    if (values.only !== "" && !values.only.split(",").includes(group)) continue;
    say(`${group} …`);
    for await (const row of check(device, values.quick ? quickSizes : fullSizes)) rows.push(row);
  }
  const seconds = (performance.now() - started) / 1000;
  process.stdout.write(`${renderTable(rows)}\n`);
  if (json !== undefined) writeJson(json, { device, rows, seconds });
  const failed = rows.filter(({ ok }) => ok === false).length;
  process.stdout.write(
    `${rows.filter(({ ok }) => ok === true).length} passed, ${failed} failed, ${Math.round(seconds)} s\n`,
  );
  return failed === 0 ? 0 : 1;
}

process.exitCode = await main();
