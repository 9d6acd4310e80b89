/** Why a server does not answer, as what to look at instead of in gRPC's words. */

/** What gRPC says, and what it comes from. The first that fits is told. */
const causes: readonly { readonly says: RegExp; readonly tls?: boolean; readonly why: string }[] = [
  {
    says: /wrong version number|EPROTO/,
    tls: true,
    why: "it speaks no TLS there, and the client does: it was given a CA",
  },
  {
    says: /self.signed|unable to (get|verify)|certificate/i,
    tls: true,
    why: "its certificate is not one of the CA that the client was given",
  },
  // gRPC has tried shortly before, and pauses.
  { says: /^null$/, why: "it did not a moment ago either, and is tried again in another" },
  { says: /Protocol error/, why: "it does not speak gRPC there: the port is that behind `grpc=` of its first line" },
  {
    says: /Failed to connect|socket hang up|closed|ECONNRESET/,
    tls: false,
    why: "it closes the connection at once: it may speak TLS there, and the client was given no CA (SLUICE_CA, SLUICE_BUNDLE)",
  },
];

/** `details` are of gRPC's status; `tls` is whether the client speaks TLS. */
export function whyUnreachable(details: string, tls: boolean): string {
  const said = /Last error: (?:Error: )?([\s\S]*?)\.?\s*Resolution note/.exec(details)?.[1] ?? details;
  // Attempts carry their time, of which nobody needs to know.
  const words = said.replace(/ \(\d{4}-[\d-]+T[\d:.]+Z\)/, "").trim();
  const cause = causes.find(({ says, tls: spoken = tls }) => spoken === tls && says.test(words));
  const [line = ""] = words.split("\n");
  return cause === undefined ? line : cause.why + (/certificate/i.test(line) ? `: ${line}` : "");
}
