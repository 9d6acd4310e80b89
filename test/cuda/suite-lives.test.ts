/** Who dies, and what becomes of the rest, on CUDA devices. */
import { onCudaDevices } from "./suite.ts";

onCudaDevices({
  "lives and deaths": () => import("../e2e/server-lifecycle.test.ts"),
});
