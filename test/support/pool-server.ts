/** A server with a pool on it for all tests of a file or of a block, and shares of it that are only held. */
import { connect, type Pool } from "sluice";
import { afterAll, afterEach, beforeAll } from "vitest";
import type { AllocateRequest } from "../../proto/generated/sluice/v1/AllocateRequest.ts";
import { untilEmpty } from "./pool-state.ts";
import { RawControl } from "./raw-client.ts";
import { type ServerOptions, startServer, type TestServer } from "./server.ts";

export interface PoolServer {
  readonly server: TestServer;
  readonly pool: Pool;
}

/**
 * Starts the server before the first of the tests, and stops it behind the last. Each test must leave the pool empty, and is waited for until it has:
 * hooks that end what it has started are written behind this call, and run before.
 */
export function servePool(options: ServerOptions, onStarted: (started: PoolServer) => void): void {
  let server: TestServer | undefined;
  let pool: Pool | undefined;
  beforeAll(async () => {
    server = await startServer(options);
    pool = await connect({ server: server.grpc, lease: "" });
    onStarted({ server, pool });
  });
  afterEach(() => untilEmpty(pool!));
  afterAll(async () => {
    await pool?.close();
    await server?.stop();
  });
}

export interface Occupation extends AsyncDisposable {
  readonly id: string;
  release(): Promise<void>;
}

/** Holds a share for an hour at most, which nobody works with, so that no executor starts for it. */
export async function occupy({ grpc }: Pick<TestServer, "grpc">, request: AllocateRequest): Promise<Occupation> {
  const control = new RawControl(grpc);
  const { id, secret } = await control.allocate({ ...request, detached: true, durationMaxMs: 3_600_000 });
  let isHeld = true;
  const release = async (): Promise<void> => {
    if (!isHeld) return;
    isHeld = false;
    await control.release(id, secret);
    control.close();
  };
  return { id, release, [Symbol.asyncDispose]: release };
}
