/** Compute shares on a CUDA device over the stand-in, whose kernels take the time that they are told, whatever the machine does. */
import { join } from "node:path";
import { connect } from "sluice";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BusyClient, partsOf } from "../support/busy-clients.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { knownKernels } from "./kernels.ts";
import { standin, standinMissing } from "./standin.ts";

const env = {
  SLUICE_CUDA_LIBRARY: join(standin.folder, "libcuda.so.1"),
  SLUICE_NVML_LIBRARY: join(standin.folder, "libnvidia-ml.so.1"),
};

describe.skipIf(standinMissing !== undefined)("leases on a CUDA device", () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ args: ["--device", "cuda:0"], env });
  });
  afterAll(() => server.stop());

  it.each([
    [2, 0.2, 0.8],
    [10, 0.1, 0.9],
  ])("get the parts of its time that they were promised, with kernels of %s ms (%s, %s)", async (ms, ...parts) => {
    await using pool = await connect({ server: server.grpc, lease: "" });
    const leases = await Promise.all(parts.map((compute) => pool.allocate({ memory: "16MiB", compute })));
    const clients = await Promise.all(
      leases.map(async (lease) => {
        const kernel = (await lease.devices[0].load(knownKernels)).kernel("pause_for");
        return new BusyClient({ lease, kernel, args: [1_000 * ms], batch: Math.ceil(8 / ms) });
      }),
    );
    await partsOf(clients, 200 / ms);
    const got = await partsOf(clients, 1_200 / ms);
    await Promise.all(clients.map((client) => client.stop()));
    for (const [index, part] of got.entries()) expect(Math.abs(part - parts[index]!)).toBeLessThan(0.1);
    await Promise.all(leases.map((lease) => lease.release()));
  });
});
