/**
 * Filters that name one of several servers as the client names it: such a server may know itself by no name but `0.0.0.0`. All other filters
 * are the servers' own to decide. Pure.
 */
import type { AllocateRequest } from "../../proto/generated/sluice/v1/AllocateRequest.ts";
import { bracketed, type HostPort } from "../address.ts";

interface Addressed {
  readonly server: HostPort;
}

/** The request without the filters that `one`, one of `all`, meets by its name; undefined when it fails one. */
export function requestFor(
  one: Addressed,
  all: readonly Addressed[],
  request: AllocateRequest,
): AllocateRequest | undefined {
  const left: string[] = [];
  for (const filter of request.filters ?? []) {
    const named = namedBy(filter, all);
    if (named === undefined) left.push(filter);
    else if (named.servers.includes(one) === named.isExcluded) return undefined;
  }
  return { ...request, filters: left };
}

function namedBy(filter: string, all: readonly Addressed[]) {
  const [, operator, value] = /^\s*server\.addr\s*(=|!=)\s*(\S+)\s*$/.exec(filter) ?? [];
  const servers = all.filter(({ server: { host, port } }) => {
    const bare = bracketed(host);
    return value === host || value === bare || value === `${bare}:${port}`;
  });
  return servers.length === 0 ? undefined : { servers, isExcluded: operator === "!=" };
}
