/** The token that a gRPC call shows: `authorization: Bearer TOKEN`. */
import type { Metadata } from "@grpc/grpc-js";

const PREFIX = /^Bearer +/i;

/** Without the word Bearer; undefined where the call shows none. */
export function bearerOf(metadata: Metadata): string | undefined {
  const [value] = metadata.get("authorization");
  return typeof value === "string" && PREFIX.test(value) ? value.replace(PREFIX, "") : undefined;
}
