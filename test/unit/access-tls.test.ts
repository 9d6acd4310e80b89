/** The options --tls-*: what they read, and what they say of files that do not fit. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { certificateEndsAt, readTls, trustOf } from "../../server/access/tls.ts";
import { readOptions } from "../../server/command-line.ts";
import { type Config, loadConfig } from "../../server/config.ts";
import { type TestCertificates, testCertificates } from "../support/certificates.ts";

let certificates: TestCertificates;
let folder: string;
beforeAll(async () => {
  certificates = await testCertificates();
  folder = mkdtempSync(join(tmpdir(), "sluice-tls-"));
});
afterAll(() => {
  certificates.remove();
  rmSync(folder, { recursive: true });
});

const load = (args: readonly string[]): Config => loadConfig(readOptions(args), {});

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

describe("the options of TLS", () => {
  it("become the PEM texts of their files", () => {
    const { server, ca } = certificates;
    expect(load(certificates.args).tls).toEqual({ cert: server.cert, key: server.key, ca: ca.cert, mutual: false });
    expect(load([...certificates.args, "--tls-mutual"]).tls).toMatchObject({ mutual: true });
  });

  it("may stand in the config file, which the command line overrules", () => {
    const { server, client } = certificates;
    const path = file("sluice.json", JSON.stringify({ "tls-cert": server.certFile, "tls-key": server.keyFile }));
    expect(load(["--config", path]).tls).toMatchObject({ cert: server.cert, ca: undefined });
    const over = ["--config", path, "--tls-cert", client.certFile, "--tls-key", client.keyFile];
    expect(load(over).tls).toMatchObject({ cert: client.cert });
  });

  it("allow addresses that other machines can reach", () => {
    const open = ["--listen", "0.0.0.0:7460", "--data", "0.0.0.0:7461"];
    expect(() => load(open)).toThrow("[listen]");
    expect(load([...open, ...certificates.args]).listen.host).toBe("0.0.0.0");
  });

  it("are refused in part, in words that name what is missing", () => {
    const { server, ca } = certificates;
    expect(() => load(["--tls-cert", server.certFile])).toThrow("[--tls-key] is missing");
    expect(() => load(["--tls-key", server.keyFile])).toThrow("[--tls-cert] is missing");
    expect(() => load(["--tls-ca", ca.certFile])).toThrow("[--tls-cert] is missing");
    const pair = ["--tls-cert", server.certFile, "--tls-key", server.keyFile];
    expect(() => load([...pair, "--tls-mutual"])).toThrow("--tls-ca");
  });

  it("name the file that is missing, is no certificate, no key, or another's key, and quote none of it", () => {
    const { server, client } = certificates;
    const away = join(folder, "away.pem");
    const noise = file("noise.pem", "-----BEGIN CERTIFICATE-----\nMIISECRETMARK\n-----END CERTIFICATE-----\n");
    const noKey = file("nokey.pem", "-----BEGIN PRIVATE KEY-----\nMIISECRETMARK\n-----END PRIVATE KEY-----\n");
    const read = (cert: string, key: string, ca?: string) => () => readTls({ cert, key, ca, mutual: false });
    expect(read(away, server.keyFile)).toThrow(`The file [${away}] of [tls-cert] cannot be read`);
    expect(read(noise, server.keyFile)).toThrow(`The file [${noise}] of [tls-cert] holds no certificate`);
    expect(read(server.certFile, noKey)).toThrow(`The file [${noKey}] of [tls-key] holds no private key`);
    expect(read(server.certFile, client.keyFile)).toThrow(`[${client.keyFile}] is not that of the certificate`);
    expect(read(server.certFile, server.keyFile, noise)).toThrow(`The file [${noise}] of [tls-ca]`);
    for (const attempt of [read(noise, noKey), read(server.certFile, noKey)]) {
      expect(attempt).not.toThrow("SECRETMARK");
      expect(attempt).toThrow(expect.objectContaining({ code: "BAD_ARGUMENT" }));
    }
  });
});

describe("what clients must trust", () => {
  it("is the CA, a certificate that signed itself, or nothing that the system does not know", () => {
    const { server, ca } = certificates;
    const tls = { cert: server.cert, key: server.key, mutual: false };
    expect(trustOf({ ...tls, ca: ca.cert })).toBe(ca.cert);
    expect(trustOf({ ...tls, ca: undefined })).toBe("");
    expect(trustOf({ cert: ca.cert, key: ca.key, ca: undefined, mutual: false })).toBe(ca.cert);
  });

  it("has an end", () => {
    const { server } = certificates;
    const days = (certificateEndsAt({ ...server, ca: undefined, mutual: false }) - Date.now()) / 86_400_000;
    expect(Math.round(days)).toBe(365);
  });
});
