/**
 * Kernel cases over the client library, against a real server with a cpu device: those in which the way there counts. What each instruction computes
 * is test/unit/kernels-cpu.test.ts's, in one process.
 */
import { afterAll, beforeAll, describe, test } from "vitest";
import { connect, type Pool } from "../../client/index.ts";
import { CASE_ARENA_BYTES, kernelCases } from "../kernels/cases.ts";
import { type ClientMachine, openClientMachine } from "../kernels/client-machine.ts";
import type { KernelCase } from "../kernels/machine.ts";
import { startServer, type TestServer } from "../support/server.ts";

/** Above what any case needs that ends, on a busy machine. */
const KERNEL_TIMEOUT = "8s";
/** Those that do not end keep all processors until it is over. */
const ENDLESS_TIMEOUT = "500ms";

/** By their modules: arguments of all kinds, what is printed, a heap, many kernels in turn, and faults. */
const modules: ReadonlySet<string> = new Set(["linear", "language", "heap", "mnist", "faults"]);
const cases = kernelCases.filter(({ ptx }) => modules.has(ptx));

const servers: TestServer[] = [];
const pools: Pool[] = [];
/** Cases that leave their lease whole share one. */
let shared: ClientMachine | undefined;

beforeAll(async () => {
  for (const timeout of [KERNEL_TIMEOUT, ENDLESS_TIMEOUT]) {
    const server = await startServer({ args: ["--device", "cpu:2GiB", "--kernel-timeout", timeout] });
    servers.push(server);
    pools.push(await connect({ server: server.grpc }));
  }
});

afterAll(async () => {
  await shared?.close();
  for (const pool of pools) await pool.close();
  for (const server of servers) await server.stop();
});

const open = ({ kernelTimeoutMs }: KernelCase) =>
  openClientMachine(pools[kernelTimeoutMs === undefined ? 0 : 1]!, { memoryBytes: CASE_ARENA_BYTES });

async function runCase(kernelCase: KernelCase): Promise<void> {
  if (!kernelCase.spoils) {
    shared ??= await open(kernelCase);
    await kernelCase.run(shared);
    shared.reset();
    return;
  }
  const machine = await open(kernelCase);
  try {
    await kernelCase.run(machine);
  } finally {
    await machine.close();
  }
}

describe("kernels compiled by nvcc run correctly over the wire", () => {
  for (const kernelCase of cases) test(`${kernelCase.name} (${kernelCase.ptx}.ptx)`, () => runCase(kernelCase));
});
