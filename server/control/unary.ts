/** A gRPC handler from a function that returns the answer, or throws what the caller is told. */
import type { ServerUnaryCall, sendUnaryData } from "@grpc/grpc-js";
import { toStatus } from "../../proto/load.ts";
import { type SluiceError, toSluiceError } from "../../shared/errors.ts";

export interface UnaryOptions {
  /** Hears of Sluice's own faults. */
  readonly onInternalError: (error: SluiceError) => void;
}

/** The error as a status; Sluice's own faults are also told. */
export function statusOf({ onInternalError }: UnaryOptions, cause: unknown): ReturnType<typeof toStatus> {
  const error = toSluiceError(cause);
  if (error.code === "INTERNAL") onInternalError(error);
  return toStatus(error);
}

export function unary<Request, Response>(
  options: UnaryOptions,
  run: (request: Request, call: ServerUnaryCall<Request, Response>) => Response | Promise<Response>,
) {
  return (call: ServerUnaryCall<Request, Response>, done: sendUnaryData<Response>): void => {
    Promise.resolve()
      .then(() => run(call.request, call))
      .then(
        (response) => done(null, response),
        (error: unknown) => done(statusOf(options, error)),
      );
  };
}
