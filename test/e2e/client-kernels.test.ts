/** Every kernel case over the client library, against a real server with a cpu device. */
import { afterAll, beforeAll, describe, test } from "vitest";
import { connect, type Pool } from "../../client/index.ts";
import { CASE_ARENA_BYTES, kernelCases } from "../kernels/cases.ts";
import { type ClientMachine, openClientMachine } from "../kernels/client-machine.ts";
import type { KernelCase } from "../kernels/machine.ts";
import { startServer, type TestServer } from "../support/server.ts";

/** Above what any case needs that ends, on a busy machine; the cases that do not end wait for it. */
const KERNEL_TIMEOUT = "8s";

let server: TestServer;
let pool: Pool;
/** Cases that leave their lease whole share one. */
let shared: ClientMachine | undefined;

beforeAll(async () => {
  server = await startServer({ args: ["--device", "cpu:2GiB", "--kernel-timeout", KERNEL_TIMEOUT] });
  pool = await connect({ server: server.grpc });
});

afterAll(async () => {
  await shared?.close();
  await pool.close();
  await server.stop();
});

const open = () => openClientMachine(pool, { memoryBytes: CASE_ARENA_BYTES });

async function runCase(kernelCase: KernelCase): Promise<void> {
  if (!kernelCase.spoils) {
    shared ??= await open();
    await kernelCase.run(shared);
    shared.reset();
    return;
  }
  const machine = await open();
  try {
    await kernelCase.run(machine);
  } finally {
    await machine.close();
  }
}

describe("kernels compiled by nvcc run correctly over the wire", () => {
  for (const kernelCase of kernelCases) test(`${kernelCase.name} (${kernelCase.ptx}.ptx)`, () => runCase(kernelCase));
});
