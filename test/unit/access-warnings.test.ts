/** What a server says at its start of how it is opened. */
import { expect, it } from "vitest";
import { openingWarnings } from "../../server/access/warnings.ts";

const DAY_MS = 86_400_000;
const NOW = Date.UTC(2026, 0, 31);

const warnings = (opening: Partial<Parameters<typeof openingWarnings>[0]>): string =>
  openingWarnings({ reachable: [], certificateEndsAt: undefined, isOpen: false, ...opening }, NOW).join("\n");

it("is nothing where nobody else reaches it, or where TLS and tokens guard it", () => {
  expect(warnings({ isOpen: true })).toBe("");
  expect(warnings({ reachable: ["0.0.0.0:7460"], certificateEndsAt: NOW + 90 * DAY_MS })).toBe("");
});

it("names the ports that others can listen to or use", () => {
  const reachable = ["0.0.0.0:7460", "10.0.0.1:7461"];
  expect(warnings({ reachable })).toMatch(
    /\[0\.0\.0\.0:7460, 10\.0\.0\.1:7461\] reads tokens and data: there is no TLS/,
  );
  expect(warnings({ reachable, isOpen: true, certificateEndsAt: NOW + 90 * DAY_MS })).toMatch(
    /^Whoever can reach .* can take leases/,
  );
  expect(warnings({ reachable, isOpen: true }).split("\n")).toHaveLength(2);
});

it("names a certificate that has ended or ends soon", () => {
  expect(warnings({ certificateEndsAt: NOW + 31 * DAY_MS })).toBe("");
  expect(warnings({ certificateEndsAt: NOW + DAY_MS })).toBe(
    "The server's certificate ends at [2026-02-01T00:00:00.000Z].",
  );
  expect(warnings({ certificateEndsAt: NOW })).toContain("has ended");
});
