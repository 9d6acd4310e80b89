/** A server for the unmodified programs of a file of tests, and a lease of it under which they run one after the other. */
import { afterAll, beforeAll } from "vitest";
import { type Borrowed, borrow, buildInterposer, canBuild, waitingForCompilers } from "./interposer.ts";
import { startServer, type TestServer } from "./server.ts";

export interface ProgramServer {
  readonly server: TestServer;
  readonly borrowed: Borrowed;
}

/**
 * Builds the interposer and starts the server before the first of the tests, and stops it behind the last. Does nothing where the programs cannot be
 * built, by default where the interposer cannot.
 */
export function servePrograms(device: string, onStarted: (started: ProgramServer) => void, canRun = canBuild): void {
  let server: TestServer | undefined;
  let borrowed: Borrowed | undefined;
  beforeAll(async () => {
    if (!canRun) return;
    buildInterposer();
    server = await startServer({ args: ["--device", device, ...waitingForCompilers] });
    borrowed = await borrow(server);
    onStarted({ server, borrowed });
  });
  afterAll(async () => {
    await borrowed?.release();
    await server?.stop();
  });
}
