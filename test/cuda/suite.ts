/**
 * Runs end-to-end tests of the server once more, on CUDA devices over the stand-in instead of null devices: the same server, the same wire, the
 * same misuse and deaths, another device behind them.
 */
import { describe } from "vitest";
import { standin, standinMissing } from "./standin.ts";

/** `suites`: what imports a file of tests, by the name of its subject. */
export function onCudaDevices(suites: Readonly<Record<string, () => Promise<unknown>>>): void {
  // Read by test/support/server.ts when a test starts its server.
  if (standinMissing === undefined) process.env["SLUICE_TEST_STANDIN"] = standin.folder;
  describe.skipIf(standinMissing !== undefined)("on CUDA devices", () => {
    for (const [subject, load] of Object.entries(suites)) {
      describe(subject, async () => {
        await load();
      });
    }
  });
}
