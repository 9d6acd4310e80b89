/** Certificates that are renewed while the server runs: SIGHUP, what new and old connections see of it on every port, and files that are bad. */
import { readFileSync, writeFileSync } from "node:fs";
import { connect as connectTls } from "node:tls";
import { connect, type Lease, type Pool } from "sluice";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type TestCertificates, testCertificates } from "../support/certificates.ts";
import { runShort } from "../support/commands.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { inTime, waitFor } from "../support/wait-for.ts";

let before: TestCertificates;
let after: TestCertificates;
let server: TestServer;

beforeAll(async () => {
  [before, after] = await Promise.all([testCertificates(), testCertificates()]);
  server = await startServer({ args: ["--device", "null:1x1GiB", "--log-level", "info", ...before.args] });
});
afterAll(async () => {
  await server.stop();
  before.remove();
  after.remove();
});

/** Puts certificates into the files that the server has been given. */
function put(cert: string, key: string, ca: string): void {
  writeFileSync(before.server.certFile, cert);
  writeFileSync(before.server.keyFile, key);
  writeFileSync(before.ca.certFile, ca);
}

const said = (what: string): number => server.log().split(what).length - 1;

/** Has the server read its files, and waits until it says what came of it. */
async function hangUp(answer: string): Promise<void> {
  const known = said(answer);
  server.kill("SIGHUP");
  await waitFor(answer, () => said(answer) > known);
}

const TAKEN = "New connections get the certificate";
const KEPT = "The certificate stays as it was";

/** The certificate that each port shows, in PEM without its frame. */
const shown = (): Promise<string[]> =>
  Promise.all(
    [server.grpc, server.data, server.admin.replace("https://", "")].map((address) => {
      const [host = "", port = ""] = address.split(":");
      const socket = connectTls({
        host,
        port: Number(port),
        rejectUnauthorized: false,
        ALPNProtocols: ["h2", "http/1.1"],
      });
      const seen = new Promise<string>((resolve, reject) => {
        socket.once("secureConnect", () => resolve(socket.getPeerCertificate().raw.toString("base64")));
        socket.once("error", reject);
      });
      return inTime("a certificate", seen).finally(() => socket.destroy());
    }),
  );

const bare = (pem: string): string => pem.replace(/-----[^-]+-----|\s/g, "");

describe("a renewed certificate", () => {
  let texts: { readonly [name in "cert" | "key" | "ca"]: string };
  let pool: Pool;
  let lease: Lease;

  beforeEach(async () => {
    texts = { cert: before.server.cert, key: before.server.key, ca: before.ca.cert };
    put(texts.cert, texts.key, texts.ca);
    await hangUp(TAKEN);
    pool = await connect({ server: server.grpc, ca: texts.ca, lease: "", transports: ["tls"] });
    lease = await pool.allocate({ memory: "64MiB" });
    return () => pool.close();
  });

  it("gives new connections of every port the new one, and ends no session", async () => {
    const [gpu] = lease.devices;
    const buffer = gpu!.upload(new Uint32Array([1, 2, 3]));
    expect(await buffer.read(Uint32Array)).toEqual(new Uint32Array([1, 2, 3]));
    expect(new Set(await shown())).toEqual(new Set([bare(texts.cert)]));
    put(after.server.cert, after.server.key, after.ca.cert);
    await hangUp(TAKEN);
    expect(new Set(await shown())).toEqual(new Set([bare(after.server.cert)]));
    // The session, the heartbeats and the calls of who was there before.
    expect(await buffer.read(Uint32Array)).toEqual(new Uint32Array([1, 2, 3]));
    expect((await pool.leases()).leases).toHaveLength(1);
    expect(lease.signal.aborted).toBe(false);
    // Whoever comes now trusts the new CA.
    const env = { SLUICE_SERVER: server.grpc, SLUICE_TOKEN: "", SLUICE_LEASE: "", SLUICE_CA: after.ca.certFile };
    expect((await runShort(["list"], { env })).stdout).toContain("null:0");
    await lease.release();
  });

  it("that is bad leaves the old one, and the log says why without quoting a key", async () => {
    for (const [cert, key, ca] of [
      ["nonsense", texts.key, texts.ca],
      [after.server.cert, texts.key, texts.ca],
      [texts.cert, texts.key.slice(0, 80), texts.ca],
      [`${texts.cert}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`, texts.key, texts.ca],
      [texts.cert, texts.key, ""],
    ] as const) {
      put(cert, key, ca);
      await hangUp(KEPT);
      expect(new Set(await shown())).toEqual(new Set([bare(texts.cert)]));
    }
    expect(lease.signal.aborted).toBe(false);
    expect((await pool.devices()).length).toBe(1);
    expect(server.log()).not.toContain(bare(texts.key).slice(8, 40));
  });
});

describe("another CA", () => {
  it("is the one that new bundles trust", async () => {
    put(after.server.cert, after.server.key, after.ca.cert);
    await hangUp(TAKEN);
    const bundle = `${before.ca.certFile}.json`;
    const env = { SLUICE_SERVER: server.grpc, SLUICE_TOKEN: "", SLUICE_LEASE: "", SLUICE_CA: after.ca.certFile };
    const made = await runShort(["token", "create", "--tenant", "ops", "--admin", "--bundle", bundle], { env });
    expect(made.code).toBe(0);
    expect(JSON.parse(readFileSync(bundle, "utf8"))).toMatchObject({ ca: after.ca.cert });
  });
});

describe("another CA of clients", () => {
  it("lets in its own and nobody else any more, on every port", async () => {
    const [old, renewed] = await Promise.all([testCertificates(), testCertificates()]);
    const args = ["--device", "null:1x1GiB", "--log-level", "info", ...old.args, "--tls-mutual"];
    await using mutual = await startServer({ args });
    /** Whether a port talks to the owner of a certificate: the server's refusal comes behind the client's handshake. */
    const talks = (
      address: string,
      { cert, key }: { readonly cert: string; readonly key: string },
    ): Promise<boolean> => {
      const [host = "", port = ""] = address.replace("https://", "").split(":");
      const socket = connectTls({
        host,
        port: Number(port),
        cert,
        key,
        rejectUnauthorized: false,
        ALPNProtocols: ["h2", "http/1.1"],
      });
      const heard = new Promise<boolean>((resolve) => {
        socket.once("secureConnect", () => {
          if (address.startsWith("https")) socket.write("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n");
          else if (address === mutual.grpc) socket.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u0004\0\0\0\0\0");
        });
        socket.once("data", () => resolve(true));
        socket.once("error", () => resolve(false));
        socket.once("close", () => resolve(false));
      });
      return inTime("an answer", heard).finally(() => socket.destroy());
    };
    const all = (who: { readonly cert: string; readonly key: string }): Promise<boolean[]> =>
      Promise.all([mutual.grpc, mutual.data, mutual.admin].map((address) => talks(address, who)));
    expect(await all(old.client)).toEqual([true, true, true]);
    expect(await all(renewed.client)).toEqual([false, false, false]);
    writeFileSync(old.server.certFile, renewed.server.cert);
    writeFileSync(old.server.keyFile, renewed.server.key);
    writeFileSync(old.ca.certFile, renewed.ca.cert);
    mutual.kill("SIGHUP");
    await waitFor("the new CA", () => mutual.log().includes(TAKEN));
    expect(await all(renewed.client)).toEqual([true, true, true]);
    expect(await all(old.client)).toEqual([false, false, false]);
    old.remove();
    renewed.remove();
  });
});
