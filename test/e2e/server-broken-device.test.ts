/**
 * A kernel's fault that breaks the driver's context for its whole process, on the stand-in for a CUDA driver: the lease lives on, its
 * next session gets a new executor, and what it used adds up.
 */
import { join } from "node:path";
import { expect, test } from "vitest";
import { knownKernels } from "../cuda/kernels.ts";
import { standin, standinMissing } from "../cuda/standin.ts";
import { executorsOf } from "../support/processes.ts";
import { ARENA, body, MiB, RawControl, RawSession, raw } from "../support/raw-client.ts";
import { startServer } from "../support/server.ts";
import { waitFor } from "../support/wait-for.ts";

test.skipIf(standinMissing !== undefined)("a lease outlives a process that its kernel has broken", async () => {
  await using server = await startServer({
    args: ["--device", "cuda", "--spare-executors", "0"],
    env: {
      SLUICE_CUDA_LIBRARY: join(standin.folder, "libcuda.so.1"),
      SLUICE_NVML_LIBRARY: join(standin.folder, "libnvidia-ml.so.1"),
    },
  });
  const control = new RawControl(server.grpc);
  const lease = await control.allocate({ memoryBytes: 32 * MiB });
  const hold = control.hold(lease);
  const broken = await RawSession.open(server.data, lease);
  const image = Buffer.from(knownKernels);
  await broken.ask(raw.attach(), raw.imageWrite(1, image.length, 0, image), raw.moduleLoad(1, 1));
  const [executor] = executorsOf(server.state);
  const kernel = [...knownKernels.matchAll(/\.entry (\w+)/g)].findIndex((match) => match[1] === "store_at");
  const params = body(["u64", 0], ["u32", 1]).subarray(0, 12);
  expect(await broken.codeAfter(raw.launch({ module: 1, kernel, params }))).toBe("ILLEGAL_ADDRESS");
  await broken.close();

  const next = await waitFor("the lease to take a session", () =>
    RawSession.open(server.data, lease).catch((error: Error) => {
      expect(error.message).toBe("SESSION_BUSY");
      return undefined;
    }),
  );
  expect((await next.ask(raw.attach(), raw.allocate(ARENA, 4096), raw.copyFromDevice(ARENA, 4096))).code).toBe("OK");
  expect(executorsOf(server.state).map(({ pid }) => pid)).not.toContain(executor!.pid);
  await next.close();
  const { usage } = await control.release(lease.id, lease.secret);
  expect(usage).toMatchObject({ calls: 8, answers: 5 });
  expect(await hold.ended).toBe("LEASE_ENDED");
  expect(await control.inUse()).toBe(0);
  control.close();
});
