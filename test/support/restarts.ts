/** A server that is killed and started again, and the clients of a test that live through it; all end with the test. */
import { connect, type Pool } from "sluice";
import { afterEach } from "vitest";
import { CrashingServer } from "./crashing-server.ts";
import { RawControl } from "./raw-client.ts";

export interface Restarts {
  readonly server: CrashingServer;
  /** Starts the test's server, of two null devices of 1 GiB; returns a program's connection to it. */
  begin(...args: string[]): Promise<Pool>;
  /** Another program's. */
  open(): Promise<Pool>;
  rawControl(): RawControl;
  /** Kills the server and starts the next. */
  restart(): Promise<void>;
}

/** For a whole test file. */
export function restarts(): Restarts {
  let server: CrashingServer;
  const pools: Pool[] = [];
  const controls: RawControl[] = [];
  afterEach(async () => {
    await Promise.all(pools.splice(0).map((pool) => pool.close()));
    for (const control of controls.splice(0)) control.close();
    await server[Symbol.asyncDispose]();
  });
  const open = async (): Promise<Pool> => {
    const pool = await connect({ server: server.grpc, lease: "" });
    pools.push(pool);
    return pool;
  };
  return {
    get server() {
      return server;
    },
    begin: async (...args) => {
      const devices = ["--device", "null:2x1GiB", "--spare-executors", "0"];
      server = await CrashingServer.start([...devices, "--grace", "1s", ...args]);
      return open();
    },
    open,
    rawControl: () => {
      const control = new RawControl(server.grpc);
      controls.push(control);
      return control;
    },
    restart: async () => {
      await server.crash();
      await server.start();
    },
  };
}
