/** Certificates for tests, made when they are needed: a CA, a server's for loopback, and a client's. Never for anything real. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generate } from "selfsigned";

/** PEM texts, and files that hold them. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
  readonly certFile: string;
  readonly keyFile: string;
}

export interface TestCertificates {
  readonly ca: Certificate;
  /** For localhost, 127.0.0.1 and ::1, signed by the CA. */
  readonly server: Certificate;
  /** Of a client, signed by the CA. */
  readonly client: Certificate;
  /** Of another CA. */
  readonly stranger: Certificate;
  /** Options of `sluice serve` for TLS. */
  readonly args: readonly string[];
  remove(): void;
}

const localhost = {
  name: "subjectAltName",
  altNames: [
    { type: 2, value: "localhost" },
    { type: 7, ip: "127.0.0.1" },
    { type: 7, ip: "::1" },
  ],
} as const;

export async function testCertificates(): Promise<TestCertificates> {
  const folder = mkdtempSync(join(tmpdir(), "sluice-certificates-"));
  const make = async (name: string, ca?: Certificate): Promise<Certificate> => {
    const isCa = ca === undefined;
    const made = await generate([{ name: "commonName", value: `Sluice test ${name}` }], {
      keyType: "ec",
      algorithm: "sha256",
      extensions: [
        { name: "basicConstraints", cA: isCa, critical: true },
        { name: "keyUsage", digitalSignature: true, keyCertSign: isCa, critical: true },
        { ...localhost, altNames: [...localhost.altNames] },
      ],
      ...(isCa ? {} : { ca }),
    });
    const certFile = join(folder, `${name}.crt`);
    const keyFile = join(folder, `${name}.key`);
    writeFileSync(certFile, made.cert);
    writeFileSync(keyFile, made.private, { mode: 0o600 });
    return { cert: made.cert, key: made.private, certFile, keyFile };
  };
  const ca = await make("ca");
  const [server, client] = [await make("server", ca), await make("client", ca)];
  const stranger = await make("stranger", await make("other-ca"));
  const args = ["--tls-cert", server.certFile, "--tls-key", server.keyFile, "--tls-ca", ca.certFile];
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  return { ca, server, client, stranger, args, remove };
}
