/**
 * Keeps other web pages out: a browser says from where a request comes, and what does not come from our own page is refused. A page
 * that makes its own name point at this machine is told apart by the name in Host. Programs that are no browsers pass.
 */
import type { IncomingMessage } from "node:http";
import { isIP } from "node:net";
import { SluiceError } from "../../shared/errors.ts";

const hostOf = (request: IncomingMessage): string => request.headers.host ?? "";

/** Whether the request is addressed to an IP address or to localhost, as no foreign name can be. */
function isAddressedByNumber(request: IncomingMessage): boolean {
  const name = hostOf(request).replace(/:\d+$/, "").toLowerCase();
  return isIP(name.replace(/^\[(.*)\]$/, "$1")) > 0 || name === "localhost" || name.endsWith(".localhost");
}

const foreign = (why: string): SluiceError => new SluiceError("FOREIGN_PAGE", `The request comes from ${why}.`);

/**
 * @param anyName whether Host may be any name: only where who asks follows from more than the address of the caller.
 * @throws SluiceError FOREIGN_PAGE
 */
export function requireSameOrigin(request: IncomingMessage, anyName: boolean): void {
  const { origin, "sec-fetch-site": site } = request.headers;
  if (site !== undefined && site !== "same-origin" && site !== "none") throw foreign("another web page");
  if (origin !== undefined && !(URL.canParse(origin) && new URL(origin).host === hostOf(request)))
    throw foreign("a page of another server");
  if (!anyName && !isAddressedByNumber(request)) {
    throw foreign(
      "a page that knows this server by a name; without tokens it answers to its address and localhost alone",
    );
  }
}

/** Bodies that a form of another page cannot send. @throws SluiceError BAD_ARGUMENT */
export function requireDataBody(request: IncomingMessage): "json" | "protobuf" {
  const [type] = (request.headers["content-type"] ?? "").split(";");
  if (type?.trim() === "application/json") return "json";
  if (type?.trim() === "application/x-protobuf") return "protobuf";
  throw new SluiceError(
    "BAD_ARGUMENT",
    `The content type [${(type ?? "").slice(0, 64)}] is neither application/json nor application/x-protobuf.`,
  );
}
