/**
 * How a client reaches its server and shows who it is: from options, from the environment, or from the one file that an admin makes with
 * `sluice token create --bundle`. It reads files and opens no connection; what is secret reaches no message.
 */
import { readFileSync } from "node:fs";
import { SluiceError, wordsOf } from "../shared/errors.ts";
import {
  BUNDLE_VARIABLE,
  CA_VARIABLE,
  CERT_VARIABLE,
  KEY_VARIABLE,
  SERVER_DEFAULT,
  SERVER_VARIABLE,
  TOKEN_FILE_VARIABLE,
  TOKEN_VARIABLE,
} from "./environment.ts";

/** TLS as the client speaks it; texts are PEM. */
export interface ClientTls {
  /** The CA to trust. Undefined: those that the system trusts. */
  readonly ca: string | undefined;
  /** What the client shows of itself, where the server asks for it. */
  readonly cert: string | undefined;
  readonly key: string | undefined;
}

export interface ServerAccess {
  /** HOST or HOST:PORT of gRPC. */
  readonly server: string;
  readonly token?: string | undefined;
  /** Undefined: connections are not encrypted. */
  readonly tls?: ClientTls | undefined;
}

/** What a program says itself; everything else comes from the environment. */
export interface AccessOptions {
  readonly server?: string | undefined;
  readonly token?: string | undefined;
  /** PEM, or `system`. */
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  /** Name of a file. */
  readonly bundle?: string | undefined;
}

/** The file that sets a client up in one step. */
export interface Bundle {
  readonly server: string;
  /** PEM; empty for the CAs that the system trusts; not there for a server without TLS. */
  readonly ca?: string;
  readonly token: string;
}

/** `ca` for the CAs that the system trusts. */
const SYSTEM = "system";

const bad = (message: string): SluiceError => new SluiceError("BAD_ARGUMENT", message);

/**
 * Options win over variables, and both over the bundle.
 * Throws SluiceError BAD_ARGUMENT naming the file that cannot be read or is no bundle.
 */
export function serverAccess(options: AccessOptions, env: NodeJS.ProcessEnv): ServerAccess {
  const bundleFile = options.bundle || env[BUNDLE_VARIABLE];
  const bundle = bundleFile ? readBundle(bundleFile) : undefined;
  const bundledCa = bundle === undefined ? undefined : bundle.ca === "" ? SYSTEM : bundle.ca;
  const ca = options.ca || caFrom(env) || bundledCa;
  const cert = options.cert || fileIn(env, CERT_VARIABLE);
  const key = options.key || fileIn(env, KEY_VARIABLE);
  if ((cert === undefined) !== (key === undefined)) throw bad("A client's certificate and its key belong together.");
  if (cert !== undefined && ca === undefined)
    throw bad(`A client's certificate needs the server's CA: set ${CA_VARIABLE}.`);
  return {
    server: options.server || env[SERVER_VARIABLE] || bundle?.server || SERVER_DEFAULT,
    token: options.token || env[TOKEN_VARIABLE] || fileIn(env, TOKEN_FILE_VARIABLE)?.trim() || bundle?.token,
    tls: ca === undefined ? undefined : { ca: ca === SYSTEM ? undefined : ca, cert, key },
  };
}

function caFrom(env: NodeJS.ProcessEnv): string | undefined {
  return env[CA_VARIABLE] === SYSTEM ? SYSTEM : fileIn(env, CA_VARIABLE);
}

function fileIn(env: NodeJS.ProcessEnv, variable: string): string | undefined {
  const file = env[variable];
  return file ? readText(file, variable) : undefined;
}

function readText(file: string, variable: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw bad(`The file [${file}] of [${variable}] cannot be read [${wordsOf(error)}].`);
  }
}

function readBundle(file: string): Bundle {
  const text = readText(file, BUNDLE_VARIABLE);
  try {
    const parsed = JSON.parse(text) as Partial<Record<keyof Bundle, unknown>> | null;
    const { server, ca, token } = parsed ?? {};
    if (typeof server === "string" && typeof token === "string" && (ca === undefined || typeof ca === "string")) {
      return { server, token, ...(ca === undefined ? {} : { ca }) };
    }
  } catch {
    // What is no JSON is quoted by its parser, and this may be a token.
  }
  throw bad(`The file [${file}] of [${BUNDLE_VARIABLE}] is no bundle of \`sluice token create --bundle\`.`);
}
