/**
 * The control plane's contract at run time: the services for @grpc/grpc-js, loaded from the generated descriptor, and the
 * one way in which a SluiceError becomes a gRPC status and back (`sluice-error-bin`, see sluice/v1/pool.proto).
 * It does by protobufjs alone what @grpc/proto-loader would: that takes a third of the time in which `sluice list` is over, for
 * descriptors that only reflection needs.
 */
import { loadPackageDefinition, Metadata, type ServiceError, type StatusObject } from "@grpc/grpc-js";
import protobuf from "protobufjs/light.js";
import {
  type DeviceReason,
  errorTable,
  grpcStatus,
  isErrorCode,
  type ReasonCode,
  SluiceError,
  wordsOf,
} from "../shared/errors.ts";
import { printable } from "../shared/printable.ts";
import type { ProtoGrpcType as AdminTypes } from "./generated/admin.ts";
import { descriptor } from "./generated/descriptor.ts";
import type { ProtoGrpcType as PoolTypes } from "./generated/pool.ts";
import { faultOfMessage } from "./json.ts";

/** 64-bit numbers are Numbers (exact below 2^53), enums are their names, unset fields have their defaults. */
export const conversion = { longs: Number, enums: String, defaults: true, oneofs: true } as const;

type Json = Parameters<typeof protobuf.Root.fromJSON>[0];

/** What a request is read as that is no message of its type. Who serves it refuses it: gRPC's own word would be that the server fails. */
class Unreadable {
  readonly why: string;

  constructor(cause: unknown) {
    this.why = wordsOf(cause);
  }
}

/** The complaint about a request that could not be read; undefined for one that could. */
export const complaintAbout = (request: unknown): SluiceError | undefined =>
  request instanceof Unreadable ? notReadable(request.why) : undefined;

const notReadable = (why: string): SluiceError =>
  new SluiceError("BAD_ARGUMENT", `The request is not readable [${printable(why).slice(0, 200)}].`);

/** Reads and writes messages of a type. */
function formOf(type: protobuf.Type) {
  return {
    serialize: (message: object): Buffer => type.encode(type.fromObject(message)).finish() as Buffer,
    deserialize: (bytes: Uint8Array): object => type.toObject(type.decode(bytes), conversion),
  };
}

/** The types of requests by the paths of their methods. */
const requestTypes = new Map<string, protobuf.Type>();

function methodOf(service: string, method: protobuf.Method) {
  const { name } = method;
  requestTypes.set(`/${service}/${name}`, method.resolvedRequestType!);
  const [request, response] = [formOf(method.resolvedRequestType!), formOf(method.resolvedResponseType!)];
  return {
    path: `/${service}/${name}`,
    requestStream: method.requestStream === true,
    responseStream: method.responseStream === true,
    requestSerialize: request.serialize,
    requestDeserialize: (bytes: Uint8Array): object => {
      try {
        return request.deserialize(bytes);
      } catch (error) {
        return new Unreadable(error);
      }
    },
    responseSerialize: response.serialize,
    responseDeserialize: response.deserialize,
    // By which clients call it.
    originalName: name.charAt(0).toLowerCase() + name.slice(1),
  };
}

/** Services and messages by their full names, as loadPackageDefinition takes them; it knows messages by their `format`. */
function definitions(): Parameters<typeof loadPackageDefinition>[0] {
  const root = protobuf.Root.fromJSON(descriptor as unknown as Json).resolveAll();
  const found: Record<string, object> = {};
  for (const entry of (root.lookup("sluice.v1") as protobuf.Namespace).nestedArray) {
    const name = entry.fullName.slice(1);
    if (entry instanceof protobuf.Type) found[name] = { format: "Protocol Buffers", ...formOf(entry) };
    else if (entry instanceof protobuf.Service) {
      found[name] = Object.fromEntries(entry.methodsArray.map((method) => [method.name, methodOf(name, method)]));
    }
  }
  return found as Parameters<typeof loadPackageDefinition>[0];
}

export const contract = (loadPackageDefinition(definitions()) as unknown as PoolTypes & AdminTypes).sluice.v1;

/**
 * The request of the method at `path` out of JSON with the names of its fields in camel case.
 * @throws SluiceError BAD_ARGUMENT
 */
export function requestFromJson(path: string, text: string): object {
  const type = requestTypes.get(path)!;
  let fault: string | undefined;
  try {
    const value: unknown = text === "" ? {} : JSON.parse(text);
    fault = faultOfMessage(type, value);
    if (fault === undefined) {
      const { serialize, deserialize } = formOf(type);
      return deserialize(serialize(value as object));
    }
  } catch (error) {
    fault = wordsOf(error);
  }
  throw notReadable(fault);
}

const ERROR_KEY = "sluice-error-bin";

/** What a server's handler gives to gRPC for an error. */
export function toStatus(error: SluiceError): StatusObject {
  const metadata = new Metadata();
  const detail = {
    code: error.code,
    message: error.message,
    remedy: error.remedy,
    reasons: [...(error.details.reasons ?? [])],
  };
  metadata.set(ERROR_KEY, contract.ErrorDetail.serialize(detail));
  return { code: grpcStatus[errorTable[error.code].grpc], details: error.message, metadata };
}

/** What a client's caller gets for a failed RPC. An answer without our detail comes from the transport. */
export function fromStatus(error: ServiceError): SluiceError {
  const raw = error.metadata?.get(ERROR_KEY)[0];
  if (raw instanceof Buffer) {
    const detail = contract.ErrorDetail.deserialize(raw);
    const reasons = (detail.reasons ?? []) as (DeviceReason & { code: ReasonCode })[];
    const code = isErrorCode(detail.code) ? detail.code : "INTERNAL";
    return new SluiceError(code, detail.message, reasons.length > 0 ? { reasons } : {});
  }
  if (error.code === grpcStatus.CANCELLED) return new SluiceError("CANCELLED", "The request is cancelled.");
  if (error.code === grpcStatus.RESOURCE_EXHAUSTED && error.details.includes("larger than"))
    return new SluiceError("BAD_ARGUMENT", `A message is too large [${error.details}].`, { cause: error });
  if (error.code === grpcStatus.UNIMPLEMENTED)
    return new SluiceError("UNSUPPORTED", "The server does not know this request.");
  if (error.code === grpcStatus.UNAVAILABLE || error.code === grpcStatus.DEADLINE_EXCEEDED) {
    return new SluiceError("SERVER_UNREACHABLE", `The server does not answer [${error.details}].`, { cause: error });
  }
  return new SluiceError("INTERNAL", `The server fails [${error.details}].`, { cause: error });
}
