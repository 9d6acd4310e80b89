/** The calls of admin.proto about tokens and the audit log: checks messages and turns words into messages. Decides nothing. */
import type { AdminServiceHandlers } from "../../proto/generated/sluice/v1/AdminService.ts";
import type { Token as TokenMessage } from "../../proto/generated/sluice/v1/Token.ts";
import { SluiceError } from "../../shared/errors.ts";
import { identityOf } from "../access/guard.ts";
import type { Role } from "../access/identity.ts";
import { TOKEN_LIFETIME_MS, TOKEN_LIFETIME_MS_MAX, type TokenGate, type TokenInfo } from "../access/token-gate.ts";
import type { EventStore } from "../store/event-store.ts";
import type { Broker } from "./broker.ts";
import { checkTenant, checkText, checkTime } from "./messages.ts";
import { type UnaryOptions, unary } from "./unary.ts";

export interface AccessCallsOptions extends UnaryOptions {
  readonly broker: Pick<Broker, "leases" | "revoke">;
  readonly tokens: TokenGate;
  readonly events: EventStore;
  /** What clients must know to reach the server. */
  readonly trust: { readonly tls: boolean; readonly ca: string };
}

type AccessCalls = Pick<AdminServiceHandlers, "CreateToken" | "ListTokens" | "RevokeToken" | "ListEvents">;

const EVENTS_PER_PAGE = 100;
const EVENTS_PER_PAGE_MAX = 1_000;

const bad = (message: string): SluiceError => new SluiceError("BAD_ARGUMENT", message);

export function accessCalls(options: AccessCallsOptions): AccessCalls {
  const { tokens, events, trust } = options;
  return {
    CreateToken: unary(options, ({ tenant, role, lifetimeMs, note }, call) => {
      const terms = {
        tenant: checkTenant("token", tenant),
        role: roleOf(role),
        note: checkText("note", note),
        lifetimeMs: checkTime("lifetime", lifetimeMs, TOKEN_LIFETIME_MS_MAX) || TOKEN_LIFETIME_MS,
      };
      const { token, info } = tokens.create(terms, identityOf(call).tokenId);
      return { token, info: tokenMessage(info), ...trust };
    }),
    ListTokens: unary(options, () => ({ tokens: tokens.list().map(tokenMessage) })),
    RevokeToken: unary(options, ({ tokenId }) => {
      const info = tokens.revoke(tokenId);
      return { info: tokenMessage(info), leaseIds: endLeasesOf(options.broker, info.id) };
    }),
    ListEvents: unary(options, ({ fromAtMs, toAtMs, tenant, action, beforeId, limit }) => {
      const to = toAtMs === 0 ? Number.MAX_SAFE_INTEGER : toAtMs;
      if (!(fromAtMs >= 0 && fromAtMs <= to)) {
        throw bad(`The span from [${fromAtMs}] to [${toAtMs}] does not end behind its start.`);
      }
      if (limit > EVENTS_PER_PAGE_MAX) throw bad(`The limit [${limit}] is above ${EVENTS_PER_PAGE_MAX}.`);
      const found = events.list({
        ...{ from: fromAtMs, to, tenant: checkText("tenant", tenant), action: checkText("action", action) },
        before: beforeId || Number.MAX_SAFE_INTEGER,
        limit: limit || EVENTS_PER_PAGE,
      });
      return { events: found.map(({ at, ...event }) => ({ ...event, atMs: at })) };
    }),
  };
}

/** Takes back at once what was granted to a token; returns the leases' ids. */
function endLeasesOf(broker: AccessCallsOptions["broker"], token: string): string[] {
  const leases = broker.leases().filter(({ tokenId, state }) => tokenId === token && state !== "ending");
  const why = { graceMs: 0, message: `The token [${token}], which had asked for the lease, is revoked.` };
  for (const { id } of leases) broker.revoke(id, why);
  return leases.map(({ id }) => id);
}

const roles = { ROLE_TENANT: "tenant", ROLE_ADMIN: "admin", ROLE_MONITOR: "monitor" } as const;
const roleNames = { tenant: "ROLE_TENANT", admin: "ROLE_ADMIN", monitor: "ROLE_MONITOR" } as const;

function roleOf(name: string): Role {
  if (name === "ROLE_UNSPECIFIED") return "tenant";
  if (Object.hasOwn(roles, name)) return roles[name as keyof typeof roles];
  throw bad(`There is no role [${name}].`);
}

const tokenMessage = ({ createdAt, expiresAt, revokedAt, usedAt, role, ...rest }: TokenInfo): TokenMessage => ({
  ...rest,
  role: roleNames[role],
  createdAtMs: createdAt,
  expiresAtMs: expiresAt,
  revokedAtMs: revokedAt,
  usedAtMs: usedAt,
});
