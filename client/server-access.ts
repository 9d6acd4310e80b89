/**
 * How a client reaches its servers and shows who it is: from options, from the environment, or from the one file that an admin makes with
 * `sluice token create --bundle`. It reads files and opens no connection; what is secret reaches no message.
 */
import { readFileSync } from "node:fs";
import { SluiceError, wordsOf } from "../shared/errors.ts";
import { SERVERS_MAX } from "../shared/limits.ts";
import { isSameServer } from "./address.ts";
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
import { shown } from "./shown.ts";

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
  /** Several with commas between them, or as a list. */
  readonly server?: string | readonly string[] | undefined;
  readonly token?: string | undefined;
  /** PEM, or `system`. */
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  /** Name of a file. */
  readonly bundle?: string | undefined;
}

/** What the file that sets a client up in one step has of a server; of several it has a list. */
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
 * The servers of a pool, each once, in the order in which they are named; at least one. Options win over variables, and both over the bundle,
 * of whose servers those that are named are chosen.
 * Throws SluiceError BAD_ARGUMENT naming the file that cannot be read or is no bundle, and the server that the bundle does not have.
 */
export function accessToServers(options: AccessOptions, env: NodeJS.ProcessEnv): [ServerAccess, ...ServerAccess[]] {
  const bundleFile = options.bundle || env[BUNDLE_VARIABLE];
  const bundles = bundleFile ? readBundle(bundleFile) : [];
  const named = namesIn(options.server) ?? namesIn(env[SERVER_VARIABLE]);
  const servers = named ?? (bundles.length > 0 ? bundles.map(({ server }) => server) : [SERVER_DEFAULT]);
  const different = servers.filter((each, at) => servers.findIndex((other) => isSameServer(each, other)) === at);
  if (different.length > SERVERS_MAX)
    throw bad(`A pool has at most [${SERVERS_MAX}] servers, and [${different.length}] are named.`);
  const given = {
    ca: options.ca || caFrom(env),
    cert: options.cert || fileIn(env, CERT_VARIABLE),
    key: options.key || fileIn(env, KEY_VARIABLE),
    token: options.token || env[TOKEN_VARIABLE] || fileIn(env, TOKEN_FILE_VARIABLE)?.trim(),
  };
  if ((given.cert === undefined) !== (given.key === undefined))
    throw bad("A client's certificate and its key belong together.");
  const [first, ...others] = different.map((server) => accessTo(server, bundleOf(server, bundles, bundleFile), given));
  return [first!, ...others];
}

interface Given {
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  readonly token: string | undefined;
}

function accessTo(server: string, bundle: Bundle | undefined, { cert, key, ...given }: Given): ServerAccess {
  const ca = given.ca || (bundle?.ca === "" ? SYSTEM : bundle?.ca);
  if (cert !== undefined && ca === undefined)
    throw bad(`A client's certificate needs the server's CA: set ${CA_VARIABLE}.`);
  return {
    server,
    token: given.token || bundle?.token,
    tls: ca === undefined ? undefined : { ca: ca === SYSTEM ? undefined : ca, cert, key },
  };
}

/** The addresses of a list or of a text with commas; undefined for none. */
function namesIn(servers: string | readonly string[] | undefined): readonly string[] | undefined {
  const texts = typeof servers === "string" ? [servers] : (servers ?? []);
  if (!Array.isArray(texts) || !texts.every((text) => typeof text === "string"))
    throw bad(`The server of a connection is [${shown(servers)}], and not an address or a list of them.`);
  const names = texts.flatMap((text) => text.split(",")).map((name) => name.trim());
  const found = names.filter((name) => name !== "");
  if (found.length === 0 && names.some((_, index) => index > 0))
    throw bad(`The servers [${shown(servers)}] name none.`);
  return found.length === 0 ? undefined : found;
}

/** A bundle of one server is good for any address, since one server has several; of several each is good for its own. */
function bundleOf(server: string, bundles: readonly Bundle[], file: string | undefined): Bundle | undefined {
  if (bundles.length < 2) return bundles[0];
  const found = bundles.find((bundle) => isSameServer(bundle.server, server));
  if (found !== undefined) return found;
  const known = bundles.map((bundle) => bundle.server).join(", ");
  throw bad(`The bundle [${file}] has the servers [${known}], and not [${server}].`);
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

/** At least one. */
function readBundle(file: string): readonly Bundle[] {
  const text = readText(file, BUNDLE_VARIABLE);
  try {
    const parsed = JSON.parse(text) as unknown;
    const bundles = (Array.isArray(parsed) ? parsed : [parsed]).map(asBundle);
    if (bundles.length > 0 && !bundles.includes(undefined)) return bundles as Bundle[];
  } catch {
    // What is no JSON is quoted by its parser, and this may be a token.
  }
  throw bad(`The file [${file}] of [${BUNDLE_VARIABLE}] is no bundle of \`sluice token create --bundle\`.`);
}

function asBundle(value: unknown): Bundle | undefined {
  const { server, ca, token } = (value ?? {}) as Partial<Record<keyof Bundle, unknown>>;
  if (typeof server !== "string" || typeof token !== "string") return undefined;
  if (ca === undefined) return { server, token };
  return typeof ca === "string" ? { server, token, ca } : undefined;
}
