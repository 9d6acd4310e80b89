/** Who gets in, what a broken frame does, and many who come and go, on CUDA devices. */
import { onCudaDevices } from "./suite.ts";

onCudaDevices({
  handshakes: () => import("../e2e/server-handshake.test.ts"),
  frames: () => import("../e2e/server-frames.test.ts"),
  churn: () => import("../e2e/server-churn.test.ts"),
});
