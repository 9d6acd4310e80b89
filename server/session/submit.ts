/** A data connection inside a gRPC stream: bytes from one to the other, both ways, each as fast as the slower end. */
import type { Socket } from "node:net";
import { Metadata, type ServerDuplexStream } from "@grpc/grpc-js";
import type { SubmitRequest__Output as SubmitRequest } from "../../proto/generated/sluice/v1/SubmitRequest.ts";
import type { SubmitResponse } from "../../proto/generated/sluice/v1/SubmitResponse.ts";

export type SubmitCall = ServerDuplexStream<SubmitRequest, SubmitResponse>;

/** Joins the call and the daemon's end of a pair of sockets; the end of either is that of the other. */
export function carrySubmit(call: SubmitCall, inner: Socket): void {
  // The client may send once it knows that the call is taken.
  call.sendMetadata(new Metadata());
  call.on("data", ({ data }: SubmitRequest) => {
    if (inner.write(data)) return;
    call.pause();
    inner.once("drain", () => call.resume());
  });
  inner.on("data", (data: Buffer) => {
    if (call.write({ data })) return;
    inner.pause();
    call.once("drain", () => inner.resume());
  });
  call.once("end", () => inner.end());
  for (const event of ["cancelled", "error", "close"]) call.once(event, () => inner.destroy());
  inner.once("close", () => call.end());
}
