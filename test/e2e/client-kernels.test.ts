/**
 * Kernel cases over the client library, against a real server with a cpu device: those in which the way there counts. What each instruction computes
 * is test/unit/kernels-cpu.test.ts's, in one process, and how faults are told is client-cpu's and server-cpu's.
 */
import { afterAll, beforeAll, describe, test } from "vitest";
import { connect, type Pool } from "../../client/index.ts";
import { CASE_ARENA_BYTES, kernelCases } from "../kernels/cases.ts";
import { type ClientMachine, openClientMachine } from "../kernels/client-machine.ts";
import { startServer, type TestServer } from "../support/server.ts";

/** By their modules: arguments of all kinds, what is printed, a heap, and many kernels in turn. */
const modules: ReadonlySet<string> = new Set(["linear", "language", "heap", "mnist"]);
const cases = kernelCases.filter(({ ptx }) => modules.has(ptx));

let server: TestServer;
let pool: Pool;
/** All cases share it, since they leave their lease whole. */
let machine: ClientMachine;

beforeAll(async () => {
  server = await startServer({ args: ["--device", "cpu:2GiB"] });
  pool = await connect({ server: server.grpc, lease: "" });
  machine = await openClientMachine(pool, { memoryBytes: CASE_ARENA_BYTES });
});

afterAll(async () => {
  await machine?.close();
  await pool?.close();
  await server?.stop();
});

describe("kernels compiled by nvcc run correctly over the wire", () => {
  for (const { name, ptx, run } of cases)
    test(`${name} (${ptx}.ptx)`, async () => {
      await run(machine);
      machine.reset();
    });
});
