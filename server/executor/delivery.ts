/** A daemon's messages on their way to an executor, each with the socket that came for it. */
import type { Socket } from "node:net";
import { socketOf } from "../session/socket-pair.ts";
import type { ToExecutor } from "./control-messages.ts";
import type { Executor } from "./executor.ts";
import { receiveHandle } from "./handle-passing.ts";

/** Hands messages on; `handles` is the descriptor over which sockets come. Rejects as the executor does. */
export function deliverTo(executor: Executor, handles: number): (message: unknown) => Promise<void> {
  return (value) => {
    const message = value as ToExecutor;
    return executor.receive(message, message.kind === "session" ? received(message.welcomeProof, handles) : undefined);
  };
}

/** The client's socket that was sent under a session's own proof; undefined when it is gone already. */
function received(welcomeProof: string, handles: number): Socket | undefined {
  const fd = receiveHandle(handles, Buffer.from(welcomeProof, "base64"));
  return fd === undefined ? undefined : socketOf(fd);
}
