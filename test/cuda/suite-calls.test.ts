/** What the server does with calls, and many who come and go, on CUDA devices. What no device has a part in is the null device's suites' alone. */
import { onCudaDevices } from "./suite.ts";

onCudaDevices({
  calls: () => import("../e2e/server-calls.test.ts"),
  products: () => import("../e2e/server-products.test.ts"),
  recordings: () => import("../e2e/server-recordings.test.ts"),
  programs: () => import("../e2e/server-programs.test.ts"),
  churn: () => import("../e2e/server-churn.test.ts"),
});
