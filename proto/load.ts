/**
 * The control plane's contract at run time: the services for @grpc/grpc-js, loaded from the generated descriptor, and the
 * one way in which a SluiceError becomes a gRPC status and back (`sluice-error-bin`, see sluice/v1/pool.proto).
 */
import { loadPackageDefinition, Metadata, type ServiceError, type StatusObject } from "@grpc/grpc-js";
import { fromJSON } from "@grpc/proto-loader";
import {
  type DeviceReason,
  errorTable,
  grpcStatus,
  isErrorCode,
  type ReasonCode,
  SluiceError,
} from "../shared/errors.ts";
import type { ProtoGrpcType as AdminTypes } from "./generated/admin.ts";
import { descriptor } from "./generated/descriptor.ts";
import type { ProtoGrpcType as PoolTypes } from "./generated/pool.ts";

/** 64-bit numbers are Numbers (exact below 2^53), enums are their names, unset fields have their defaults. */
export const packageDefinition = fromJSON(descriptor as unknown as Parameters<typeof fromJSON>[0], {
  longs: Number,
  enums: String,
  defaults: true,
  oneofs: true,
});

export const contract = (loadPackageDefinition(packageDefinition) as unknown as PoolTypes & AdminTypes).sluice.v1;

const ERROR_KEY = "sluice-error-bin";

/** What a server's handler gives to gRPC for an error. */
export function toStatus(error: SluiceError): Partial<StatusObject> & { code: number; metadata: Metadata } {
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
  if (error.code === grpcStatus.UNIMPLEMENTED)
    return new SluiceError("UNSUPPORTED", "The server does not know this request.");
  if (error.code === grpcStatus.UNAVAILABLE || error.code === grpcStatus.DEADLINE_EXCEEDED) {
    return new SluiceError("SERVER_UNREACHABLE", `The server does not answer [${error.details}].`, { cause: error });
  }
  return new SluiceError("INTERNAL", `The server fails [${error.details}].`, { cause: error });
}
