/** What the server does with calls, on CUDA devices. */
import { onCudaDevices } from "./suite.ts";

onCudaDevices({
  calls: () => import("../e2e/server-calls.test.ts"),
  products: () => import("../e2e/server-products.test.ts"),
  recordings: () => import("../e2e/server-recordings.test.ts"),
  staging: () => import("../e2e/staging.test.ts"),
  programs: () => import("../e2e/server-programs.test.ts"),
});
