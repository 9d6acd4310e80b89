/**
 * All of this room for one server, put together: the gate and its tokens, the audit log, and the bounds on what callers may ask. Other
 * rooms take from it what they need; it knows none of them.
 */
import type { ServiceDefinition, UntypedServiceImplementation } from "@grpc/grpc-js";
import type { Clock } from "../control/clock.ts";
import { EventStore } from "../store/event-store.ts";
import type { Store } from "../store/store.ts";
import { TokenStore } from "../store/token-store.ts";
import { AuditLog, type AuditLogOptions } from "./audit-log.ts";
import { BrowserSessions } from "./browser-sessions.ts";
import { guarded } from "./guard.ts";
import type { Role } from "./identity.ts";
import { RequestRates } from "./request-rates.ts";
import { type TlsConfig, trustOf } from "./tls.ts";
import { TokenGate } from "./token-gate.ts";
import { Visibility } from "./visibility.ts";

const VISIBILITY_KEY_BYTES = 32;

export interface AccessOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly randomBytes: (byteCount: number) => Buffer;
  readonly requireToken: boolean;
  readonly requestsPerSecond: number;
  readonly tls: TlsConfig | undefined;
  readonly onUnwritten?: AuditLogOptions["onUnwritten"];
}

export class Access {
  readonly tokens: TokenGate;
  readonly events: EventStore;
  readonly audit: AuditLog;
  /** For the admin port. */
  readonly sessions: BrowserSessions;
  /** What a client must know to reach the server's ports. */
  readonly trust: { readonly tls: boolean; ca: string };
  /** Shared by all ports. */
  readonly requests: RequestRates;
  readonly visibility: Visibility;

  constructor({ store, clock, randomBytes, requireToken, requestsPerSecond, tls, onUnwritten }: AccessOptions) {
    this.events = new EventStore(store);
    this.audit = new AuditLog({ store: this.events, clock, onUnwritten });
    this.tokens = new TokenGate({ store: new TokenStore(store), clock, randomBytes, required: requireToken });
    const secure = tls !== undefined;
    this.sessions = new BrowserSessions({ gate: this.tokens, clock, audit: this.audit, randomBytes, secure });
    this.requests = new RequestRates(requestsPerSecond, clock);
    this.visibility = new Visibility(randomBytes(VISIBILITY_KEY_BYTES));
    this.trust = { tls: tls !== undefined, ca: tls === undefined ? "" : trustOf(tls) };
  }

  /** The handlers of a gRPC service, each behind the gate; `role` is whose the service is. */
  guard(service: ServiceDefinition, handlers: object, role: Role): UntypedServiceImplementation {
    const { tokens: gate, requests, audit } = this;
    return guarded(service, handlers as UntypedServiceImplementation, { gate, requests, audit, role });
  }

  /** New clients are told of another CA. */
  renew(tls: TlsConfig): void {
    this.trust.ca = trustOf(tls);
  }

  /** Ends browsers' sessions and stops its timers. */
  close(): void {
    this.sessions.close();
    this.tokens.close();
  }
}
