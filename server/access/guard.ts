/**
 * Puts a whole gRPC service behind the gate: every handler, also one that is added tomorrow, learns who calls, is kept from callers
 * without the role and from those who ask too often, and ends its stream when the caller's token does. Changes of an admin's service
 * go through the audit log. It knows no service in particular.
 */
import type {
  handleUnaryCall,
  ServerDuplexStream,
  ServerUnaryCall,
  ServerWritableStream,
  ServiceDefinition,
  ServiceError,
  UntypedHandleCall,
  UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { fromStatus, toStatus } from "../../proto/load.ts";
import { toSluiceError } from "../../shared/errors.ts";
import { type AuditLog, NOBODY } from "./audit-log.ts";
import { bearerOf } from "./bearer.ts";
import { type Gate, type Identity, type Role, requireAdmin, requireNoMonitor, requireReader } from "./identity.ts";
import type { RequestRates } from "./request-rates.ts";
import { requireOwner, requireReadable } from "./visibility.ts";

type Stream = ServerDuplexStream<object, object> | ServerWritableStream<object, object>;
type Call = ServerUnaryCall<object, object> | Stream;

/** RPCs that change nothing: they are not written into the audit log. */
export const isReading = (method: string): boolean => /^(List|Get|Watch|Explain)/.test(method);

export interface GuardOptions {
  readonly gate: Gate;
  readonly requests: RequestRates;
  readonly audit: AuditLog;
  /** Whose the service is. An admin's is audited. */
  readonly role: Role;
}

/** What is known of a call that was let in. */
interface Admitted {
  readonly identity: Identity;
  readonly method: string;
  /** Writes the call into the audit log; returns what to call at its end. */
  readonly begin: () => (error?: unknown) => void;
  /** Where it is written there. */
  finish: ((error?: unknown) => void) | undefined;
}

const vouched = new WeakMap<object, Identity>();
const admitted = new WeakMap<object, Admitted>();

function admittedOf(call: object): Admitted {
  const known = admitted.get(call);
  if (known === undefined) throw new Error("The handler is not behind the gate.");
  return known;
}

/** Who makes the call: for handlers of a guarded service. */
export const identityOf = (call: object): Identity => admittedOf(call).identity;

/**
 * For handlers: throws SluiceError OTHER_TENANT unless what is asked for is the caller's own, or the caller is an admin, or reads it as a
 * monitor. What an admin changes for somebody else is in the audit log, whatever service it is of.
 */
export function actFor(call: object, owner: string): void {
  const known = admittedOf(call);
  if (isReading(known.method)) {
    requireReadable(known.identity, owner);
    return;
  }
  requireOwner(known.identity, owner);
  if (known.identity.tenant !== owner) known.finish ??= known.begin();
}

/** For handlers: what an admin does, also to what is the admin's own, is in the audit log. */
export function auditAdmin(call: object): void {
  const known = admittedOf(call);
  if (known.identity.role === "admin") known.finish ??= known.begin();
}

/** Lets a call that comes from elsewhere than gRPC in as somebody whom that port has identified. */
export function vouch(call: object, identity: Identity): void {
  vouched.set(call, identity);
}

/** The handlers, each behind the gate. */
export function guarded(
  service: ServiceDefinition,
  handlers: UntypedServiceImplementation,
  options: GuardOptions,
): UntypedServiceImplementation {
  const methods = Object.entries(service).map(([name, { requestStream, responseStream }]) => {
    const handler = handlers[name];
    if (handler === undefined) throw new Error(`The service has no handler for [${name}].`);
    const streams = requestStream || responseStream;
    return [name, streams ? guardedStream(name, handler, options) : guardedUnary(name, handler, options)] as const;
  });
  return Object.fromEntries(methods);
}

function guardedUnary(
  name: string,
  handler: UntypedHandleCall,
  options: GuardOptions,
): handleUnaryCall<object, object> {
  return (call, done) => {
    let known: Admitted;
    try {
      known = admit(call, name, options);
    } catch (error) {
      done(toStatus(toSluiceError(error)));
      return;
    }
    (handler as handleUnaryCall<object, object>)(call, (error, ...answer) => {
      known.finish?.(error === null ? undefined : fromStatus(error as ServiceError));
      done(error, ...answer);
    });
  };
}

function guardedStream(name: string, handler: UntypedHandleCall, options: GuardOptions): UntypedHandleCall {
  return (call: Stream) => {
    const end = (error: unknown): void => {
      call.emit("error", toStatus(toSluiceError(error)));
    };
    let known: Admitted;
    try {
      known = admit(call, name, options);
    } catch (error) {
      end(error);
      return;
    }
    const { identity } = known;
    const unfollow = options.gate.follow(identity, (reason) => {
      // Who was let in without a token keeps a lease that it has: its secret is proof enough.
      if (identity.tokenId === "" && (name === "Hold" || name === "Submit")) return;
      end(reason);
    });
    const leave = (error?: ServiceError): void => {
      unfollow();
      known.finish?.(error === undefined ? undefined : fromStatus(error));
      known.finish = undefined;
    };
    for (const event of ["cancelled", "finish", "close"]) call.once(event, () => leave());
    call.once("error", leave);
    (handler as (call: Stream) => void)(call);
  };
}

/** Throws SluiceError unless the caller's role allows a call of the service: to a monitor, what only reads. */
function requireRole(identity: Identity, call: { readonly service: Role; readonly reads: boolean }): void {
  if (call.reads) {
    if (call.service === "admin") requireReader(identity);
    return;
  }
  requireNoMonitor(identity);
  if (call.service === "admin") requireAdmin(identity);
}

/** Lets a call in, or throws why not. What an admin changes is written into the audit log first. */
function admit(call: Call, name: string, options: GuardOptions): Admitted {
  const { gate, requests, audit, role } = options;
  const what = { address: call.getPeer(), action: name, request: "request" in call ? call.request : {} };
  let identity = NOBODY;
  try {
    identity = vouched.get(call) ?? gate.identify(bearerOf(call.metadata), what.address);
    requireRole(identity, { service: role, reads: isReading(name) });
  } catch (error) {
    audit.refused({ ...what, identity }, toSluiceError(error));
    throw error;
  }
  // A port that vouches has counted the request too.
  if (!vouched.has(call)) requests.admit(identity, what.address);
  const begin = () => audit.begin({ ...what, identity });
  const finish = role === "admin" && !isReading(name) ? begin() : undefined;
  const known = { identity, method: name, begin, finish };
  admitted.set(call, known);
  return known;
}
