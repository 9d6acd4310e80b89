/** What the server does with calls, on CUDA devices. */
import { expect, it } from "vitest";
import { RawControl } from "../support/raw-client.ts";
import { startServer } from "../support/server.ts";
import { standinMissing } from "./standin.ts";
import { onCudaDevices } from "./suite.ts";

onCudaDevices({
  calls: () => import("../e2e/server-calls.test.ts"),
  products: () => import("../e2e/server-products.test.ts"),
  recordings: () => import("../e2e/server-recordings.test.ts"),
  staging: () => import("../e2e/staging.test.ts"),
  programs: () => import("../e2e/server-programs.test.ts"),
});

it.skipIf(standinMissing !== undefined)("CUDA devices are what the tests get", async () => {
  await using server = await startServer();
  const control = new RawControl(server.grpc);
  expect((await control.devices()).map(({ id }) => id)).toEqual(["cuda:0", "cuda:1"]);
  control.close();
});
