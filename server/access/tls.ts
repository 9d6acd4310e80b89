/**
 * TLS as the options --tls-* say it: reads and checks the PEM files, and gives every port what it needs. A key never reaches a message
 * or a log.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import { ServerCredentials } from "@grpc/grpc-js";
import { SluiceError, wordsOf } from "../../shared/errors.ts";

export interface TlsConfig {
  /** The server's certificate and, behind it, those between it and its CA; PEM. */
  readonly cert: string;
  /** The certificate's private key; PEM. */
  readonly key: string;
  /** The CA of the server's certificate and, with `mutual`, of the clients'; PEM. */
  readonly ca: string | undefined;
  /** Whether clients must show a certificate of the CA. */
  readonly mutual: boolean;
}

/** File names, as the options give them. */
export interface TlsFiles {
  readonly cert: string | undefined;
  readonly key: string | undefined;
  readonly ca: string | undefined;
  readonly mutual: boolean;
}

const bad = (message: string): SluiceError => new SluiceError("BAD_ARGUMENT", message);

/** Undefined where no option asks for TLS. Throws SluiceError BAD_ARGUMENT naming the option and its file. */
export function readTls({ cert, key, ca, mutual }: TlsFiles): TlsConfig | undefined {
  if (cert === undefined && key === undefined && ca === undefined && !mutual) return undefined;
  if (cert === undefined || key === undefined) {
    throw bad(
      `TLS needs both --tls-cert and --tls-key, and [--tls-${cert === undefined ? "cert" : "key"}] is missing.`,
    );
  }
  if (mutual && ca === undefined) throw bad("The option [tls-mutual] needs the clients' CA: give --tls-ca too.");
  const texts = { cert: readPem("tls-cert", cert), key: readPem("tls-key", key) };
  const leaf = certificateOf("tls-cert", { file: cert, text: texts.cert });
  if (!leaf.checkPrivateKey(privateKeyOf(key, texts.key))) {
    throw bad(`The key of [tls-key] in the file [${key}] is not that of the certificate in the file [${cert}].`);
  }
  const caText = ca === undefined ? undefined : readPem("tls-ca", ca);
  if (ca !== undefined && caText !== undefined) certificateOf("tls-ca", { file: ca, text: caText });
  const tls = { ...texts, ca: caText, mutual };
  checkUsable(tls);
  return tls;
}

/** Whether every port can use it: what stands behind the first certificate of a file is read only then. */
function checkUsable(tls: TlsConfig): void {
  try {
    createSecureContext(tlsServerOptions(tls));
  } catch {
    // What OpenSSL says may quote a file.
    throw bad("The files of [tls-cert], [tls-key] and [tls-ca] cannot be used together for TLS.");
  }
}

/** Until when the server's certificate is good, in milliseconds since the epoch. */
export const certificateEndsAt = ({ cert }: TlsConfig): number => Date.parse(new X509Certificate(cert).validTo);

/** What a client must trust to reach the server: its CA, or its certificate where it signed itself; empty where the system knows its CA. */
export function trustOf({ cert, ca }: TlsConfig): string {
  if (ca !== undefined) return ca;
  const leaf = new X509Certificate(cert);
  return leaf.checkIssued(leaf) ? cert : "";
}

/** For node:tls and node:https: the data port and the admin port. */
export const tlsServerOptions = ({ cert, key, ca, mutual }: TlsConfig) => ({
  cert,
  key,
  ...(ca === undefined ? {} : { ca }),
  requestCert: mutual,
  rejectUnauthorized: mutual,
});

export function grpcCredentials(tls: TlsConfig | undefined): ServerCredentials {
  if (tls === undefined) return ServerCredentials.createInsecure();
  const pair = { private_key: Buffer.from(tls.key), cert_chain: Buffer.from(tls.cert) };
  return ServerCredentials.createSsl(tls.ca === undefined ? null : Buffer.from(tls.ca), [pair], tls.mutual);
}

function readPem(option: string, file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw bad(`The file [${file}] of [${option}] cannot be read [${wordsOf(error)}].`);
  }
}

function certificateOf(option: string, { file, text }: { readonly file: string; readonly text: string }) {
  try {
    return new X509Certificate(text);
  } catch {
    throw bad(`The file [${file}] of [${option}] holds no certificate in PEM.`);
  }
}

function privateKeyOf(file: string, text: string): KeyObject {
  try {
    return createPrivateKey(text);
  } catch {
    // What OpenSSL says of a broken key may quote it.
    throw bad(`The file [${file}] of [tls-key] holds no private key in PEM, or one with a passphrase.`);
  }
}
