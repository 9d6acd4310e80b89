/**
 * The end-to-end tests of the server once more, on CUDA devices over the stand-in instead of null devices: the same server, the same wire, the
 * same misuse and deaths, another device behind them. Two files, so that they run side by side.
 */
import { describe } from "vitest";
import { standin, standinMissing } from "./standin.ts";

if (standinMissing === undefined) {
  // Read by test/support/server.ts when a test starts its server.
  process.env["SLUICE_TEST_STANDIN"] = standin.folder;
}

describe.skipIf(standinMissing !== undefined)("on CUDA devices", () => {
  describe("calls", async () => {
    await import("../e2e/server-calls.test.ts");
  });
  describe("products", async () => {
    await import("../e2e/server-products.test.ts");
  });
  describe("recordings", async () => {
    await import("../e2e/server-recordings.test.ts");
  });
  describe("programs", async () => {
    await import("../e2e/server-programs.test.ts");
  });
  describe("frames", async () => {
    await import("../e2e/server-frames.test.ts");
  });
});
