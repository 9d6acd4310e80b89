/** What an admin should know of how a server is opened, in sentences for its log at the start. It decides and refuses nothing. */

/** A certificate that ends so soon is worth a word. */
const CERTIFICATE_WARNING_MS = 30 * 86_400_000;

export interface Opening {
  /** The addresses that other machines can reach, HOST:PORT. */
  readonly reachable: readonly string[];
  /** When the certificate ends, in milliseconds since the epoch; undefined without TLS. */
  readonly certificateEndsAt: number | undefined;
  /** Whether the server asks for no tokens. */
  readonly isOpen: boolean;
}

export function openingWarnings({ reachable, certificateEndsAt, isOpen }: Opening, now: number): string[] {
  const warnings: string[] = [];
  const where = `[${reachable.join(", ")}]`;
  if (reachable.length > 0 && certificateEndsAt === undefined) {
    warnings.push(`Whoever can listen on the network to ${where} reads tokens and data: there is no TLS.`);
  }
  if (reachable.length > 0 && isOpen)
    warnings.push(`Whoever can reach ${where} can take leases: no token is asked for.`);
  if (certificateEndsAt !== undefined && certificateEndsAt - now < CERTIFICATE_WARNING_MS) {
    const when = new Date(certificateEndsAt).toISOString();
    warnings.push(`The server's certificate ${certificateEndsAt <= now ? "has ended" : "ends"} at [${when}].`);
  }
  return warnings;
}
