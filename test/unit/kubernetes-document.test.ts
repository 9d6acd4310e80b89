/** What KUBERNETES.md tells an admin to apply: that the server takes these arguments, and that mounts, probes and environment fit them. */
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { readOptions } from "../../server/command-line.ts";
import { loadConfig } from "../../server/config.ts";
import { parseDuration } from "../../shared/units.ts";
import { testCertificates } from "../support/certificates.ts";

const text = readFileSync("KUBERNETES.md", "utf8");
const all = (pattern: RegExp): string[] => [...text.matchAll(pattern)].map(([, found]) => found!);
const [verb, ...args] = JSON.parse(/args: (\[[^\]]*\])/.exec(text)![1]!) as string[];
const optionOf = (name: string): string => args.find((arg) => arg.startsWith(`--${name}=`))!.slice(name.length + 3);

it("has arguments that the server takes, and that ask for TLS and tokens", async () => {
  const certificates = await testCertificates();
  try {
    const { ca, server } = certificates;
    const files: Record<string, string> = {
      "tls.crt": server.certFile,
      "tls.key": server.keyFile,
      "ca.crt": ca.certFile,
    };
    const here = args.map((arg) => arg.replace(/\/tls\/(.*)$/, (_, name: string) => files[name] ?? "none"));
    const config = loadConfig(readOptions(here), {});
    expect([verb, config.requireToken, config.insecure, config.tls === undefined]).toEqual([
      "serve",
      true,
      false,
      false,
    ]);
    expect(config.stateDirectory).toBe("/state");
  } finally {
    certificates.remove();
  }
});

it("has mounts, probes, a grace and an environment that fit them", () => {
  expect(all(/mountPath: (\S+) /g)).toEqual(["/state", "/tls"]);
  const admin = optionOf("admin").split(":");
  const probes = all(/Probe: +\{ httpGet: \{ (.*?) \}/g);
  expect(probes).toHaveLength(3);
  for (const probe of probes) {
    expect(probe).toMatch(new RegExp(`^host: ${admin[0]}, port: ${admin[1]}, scheme: HTTPS, path: /(health|ready)z$`));
  }
  const graceMs = Number(/terminationGracePeriodSeconds: (\d+)/.exec(text)![1]) * 1000;
  expect(graceMs).toBeGreaterThan(parseDuration(optionOf("grace")) + 10_000);
  expect(text).toContain(`value: "$(NODE):${optionOf("listen").split(":")[1]}"`);
  expect(all(/SLUICE_(?:CA|TOKEN_FILE), value: (\S+) /g)).toEqual([
    optionOf("tls-ca"),
    `${optionOf("state")}/admin-token`,
  ]);
});
