/** One HTTP request and its answer: reading bodies within bounds, answering with what the headers promise, errors as JSON. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { errorTable, SluiceError, toSluiceError } from "../../shared/errors.ts";
import type { Identity } from "../access/identity.ts";

/** No request to the admin port is larger than a few short strings. */
const BODY_BYTES_MAX = 64 * 1024;

/** What every answer says to browsers: run nothing but our own files, and be framed, sniffed and referred to by nobody. */
const strictHeaders = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
  "cache-control": "no-store",
} as const;

const httpStatus: Partial<Record<(typeof errorTable)[keyof typeof errorTable]["grpc"], number>> = {
  INVALID_ARGUMENT: 400,
  FAILED_PRECONDITION: 400,
  UNAUTHENTICATED: 401,
  PERMISSION_DENIED: 403,
  NOT_FOUND: 404,
  ALREADY_EXISTS: 409,
  ABORTED: 409,
  RESOURCE_EXHAUSTED: 429,
  CANCELLED: 499,
  UNIMPLEMENTED: 501,
  UNAVAILABLE: 503,
  DEADLINE_EXCEEDED: 504,
};

/** The HTTP status that an error's code means. */
export const statusOf = ({ code }: SluiceError): number => httpStatus[errorTable[code].grpc] ?? 500;

/** What the error says beside its body: when to ask again, in whole seconds. */
export const errorHeaders = ({ details: { retryAfterMs } }: SluiceError): Readonly<Record<string, string>> =>
  retryAfterMs === undefined ? {} : { "retry-after": String(Math.ceil(retryAfterMs / 1000)) };

export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly url: URL;
  /** Who asks. Nobody on pages that are open to all. */
  readonly caller: Identity;
}

/** The body, at most 64 KiB of it. @throws SluiceError BAD_ARGUMENT */
export async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let byteCount = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    byteCount += chunk.byteLength;
    if (byteCount > BODY_BYTES_MAX) {
      throw new SluiceError("BAD_ARGUMENT", `The request is larger than [${BODY_BYTES_MAX}] bytes.`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Answers with a body; `headers` win over the strict ones. */
export function answer(
  response: ServerResponse,
  body: string | Uint8Array,
  {
    status = 200,
    headers = {},
  }: { readonly status?: number; readonly headers?: Readonly<Record<string, string>> } = {},
): void {
  const bytes = typeof body === "string" ? Buffer.from(body) : body;
  response.writeHead(status, { ...strictHeaders, ...headers, "content-length": bytes.byteLength });
  response.end(bytes);
}

export function answerJson(response: ServerResponse, value: unknown, status = 200): void {
  answer(response, JSON.stringify(value), { status, headers: { "content-type": "application/json" } });
}

/** The error as JSON, with the HTTP status that its code means. `closes` ends the connection, for a request that was not read. */
export function answerError(response: ServerResponse, cause: unknown, closes: boolean): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const error = toSluiceError(cause);
  const { code, message, remedy, details } = error;
  if (closes) response.setHeader("connection", "close");
  for (const [name, value] of Object.entries(errorHeaders(error))) response.setHeader(name, value);
  answerJson(response, { code, message, remedy, reasons: details.reasons ?? [] }, statusOf(error));
}
