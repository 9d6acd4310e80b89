/** The servers of a pool: by options, by variables, by a bundle, and what fits none of them. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { accessToServers, type Bundle } from "../../client/server-access.ts";
import { SERVERS_MAX } from "../../shared/limits.ts";

const folder = mkdtempSync(join(tmpdir(), "sluice-bundles-"));
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;
function bundleFile(content: unknown): string {
  const file = join(folder, `${++files}.json`);
  writeFileSync(file, JSON.stringify(content));
  return file;
}

const one: Bundle = { server: "gpu1", token: "token-1", ca: "ca-1" };
const two: Bundle = { server: "gpu2:7000", token: "token-2" };
const tlsOf = (ca: string) => ({ ca, cert: undefined, key: undefined });

describe("the servers of a pool", () => {
  it("are named with commas, as a list, or by a variable, and each counts once", () => {
    const names = (server: string | string[], env = {}) => accessToServers({ server }, env).map((each) => each.server);
    expect(names("gpu1, gpu2:7461,gpu1:7460,[::1]")).toEqual(["gpu1", "gpu2:7461", "[::1]"]);
    expect(names(["gpu1", "gpu2,gpu3"], { SLUICE_SERVER: "other" })).toEqual(["gpu1", "gpu2", "gpu3"]);
    expect(names([], { SLUICE_SERVER: "gpu1,gpu2" })).toEqual(["gpu1", "gpu2"]);
    expect(names("", {})).toEqual(["localhost:7460"]);
    expect(() => names([","], { SLUICE_SERVER: "gpu1" })).toThrow("The servers [");
  });

  it("share a token and a CA that are given beside them", () => {
    const env = { SLUICE_SERVER: "gpu1,gpu2", SLUICE_TOKEN: "all", SLUICE_CA: "system" };
    expect(accessToServers({}, env)).toEqual(
      ["gpu1", "gpu2"].map((server) => ({
        server,
        token: "all",
        tls: { ca: undefined, cert: undefined, key: undefined },
      })),
    );
  });

  it("are those of a bundle, each with its own token and CA, or those of them that are named", () => {
    const env = { SLUICE_BUNDLE: bundleFile([one, two]) };
    const [first, second] = [
      { server: "gpu1", token: "token-1", tls: tlsOf("ca-1") },
      { server: "gpu2:7000", token: "token-2", tls: undefined },
    ];
    expect(accessToServers({}, env)).toEqual([first, second]);
    expect(accessToServers({ server: "gpu1:7460" }, env)).toEqual([{ ...first, server: "gpu1:7460" }]);
    expect(accessToServers({ server: "gpu2:7000,gpu1" }, env)).toEqual([second, first]);
    expect(() => accessToServers({ server: "gpu3" }, env)).toThrow(
      /has the servers \[gpu1, gpu2:7000\], and not \[gpu3\]/,
    );
  });

  it("may go by another name than that in a bundle of one", () => {
    expect(accessToServers({ server: "10.0.0.1", bundle: bundleFile(one) }, {})).toEqual([
      { server: "10.0.0.1", token: "token-1", tls: tlsOf("ca-1") },
    ]);
  });

  it("are no list without any, none that is malformed, and not too many", () => {
    for (const content of [[], [one, {}], [one, { ...two, ca: 7 }], "gpu1"]) {
      expect(() => accessToServers({ bundle: bundleFile(content) }, {})).toThrow(/is no bundle/);
    }
    expect(() => accessToServers({ server: "gpu1,bad::address" }, {})).toThrow(/\[bad::address\] is not/);
    const many = Array.from({ length: SERVERS_MAX + 1 }, (_, index) => `gpu${index}`);
    expect(() => accessToServers({ server: many }, {})).toThrow(`at most [${SERVERS_MAX}] servers`);
  });
});
