/** What a program sees when its server dies, its lease ends, or its connection is cut and it may not come back: a CUDA error within seconds, never a hang. */
import { mkdtempSync, rmSync } from "node:fs";
import { createConnection, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { admin, Control } from "../../client/control.ts";
import { formatLeaseKeys } from "../../client/environment.ts";
import { CuttingProxy } from "../support/cutting-proxy.ts";
import { FakeExecutor } from "../support/fake-executor.ts";
import {
  type Borrowed,
  borrow,
  buildInterposer,
  canBuild,
  compileProgram,
  runProgram,
  waitingForCompilers,
} from "../support/interposer.ts";
import { executorsOf, killIfThere } from "../support/processes.ts";
import { createRandom } from "../support/random.ts";
import { rounds } from "../support/rounds.ts";
import { socketOf, startServer, type TestServer } from "../support/server.ts";

let program: string;
let threads: string;
/** Of tests that leave them as they are. */
let server: TestServer;
let computing: TestServer;
/** A lease of the second, under which programs run that do not end it. */
let borrowed: Borrowed;
const closing: (() => unknown)[] = [];

const start = (device: string, ...more: readonly string[]): Promise<TestServer> =>
  startServer({ args: ["--device", device, "--heartbeat-timeout", "2s", ...more] });

beforeAll(async () => {
  if (!canBuild) return;
  buildInterposer();
  program = compileProgram("test/interposer/faults/until-error.c");
  threads = compileProgram("test/interposer/faults/threads-until-error.c");
  [server, computing] = await Promise.all([start("null:1x1GiB"), start("cpu:1x1GiB", ...waitingForCompilers)]);
  borrowed = await borrow(computing);
});
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});
afterAll(async () => {
  await borrowed?.release();
  await server?.stop();
  await computing?.stop();
});

/** Far from a hang, on however busy a machine. */
const SECONDS_MAX = 15;

/** The seconds that the failing call took. */
const secondsOf = (stdout: string): number => Number(/after ([\d.]+) s/.exec(stdout)?.[1]);

describe.runIf(canBuild).each(["wait", "launch", "read", "write"])("a program that goes on to %s", (way) => {
  it("gets an error when its lease is released", async () => {
    const finished = await runProgram({
      server,
      command: [program, way],
      onOutput: async (control, lease) => {
        await control.release(lease.id, lease.secret);
      },
    });
    expect(finished.code, finished.stdout + finished.stderr).toBe(3);
    expect(finished.stdout).toContain("CUDA_ERROR_DEVICE_UNAVAILABLE again 1");
    expect(finished.stderr).toContain("sluice: ");
    expect(secondsOf(finished.stdout)).toBeLessThan(SECONDS_MAX);
  });
});

const killExecutors = ({ state }: TestServer): void => {
  for (const { pid, leaseId } of executorsOf(state)) if (leaseId !== undefined) killIfThere(pid);
};

/** Ways in which it ends for a program that has done nothing wrong. */
const ends: Record<string, (server: TestServer, leaseId: string) => Promise<void>> = {
  "its executor is killed": async (server) => killExecutors(server),
  "server and executor are killed": async (server) => {
    server.kill("SIGKILL");
    killExecutors(server);
  },
  "its lease is revoked": async (server, leaseId) => {
    const control = new Control({ server: server.grpc });
    await control.ask(admin.Revoke, { leaseId });
    control.close();
  },
};

describe.runIf(canBuild).each(["tcp", "unix"])("every thread of a program, over %s,", (transport) => {
  it.each(Object.keys(ends))("gets an error and never a wrong number when %s", async (end) => {
    const isKilled = end.startsWith("server");
    const of = isKilled ? await start("null:1x1GiB") : server;
    if (isKilled) closing.push(() => of.stop());
    const finished = await runProgram({
      server: of,
      command: [threads],
      env: {
        // A server that is gone is waited for so long.
        SLUICE_RESUME: "2s",
        ...(transport === "unix" ? { SLUICE_DATA: `unix://${socketOf(of)}` } : {}),
      },
      onOutput: (_control, lease) => ends[end]!(of, lease.id),
    });
    expect(finished.code, finished.stdout + finished.stderr).toBe(3);
    expect(finished.stdout).toContain("8 failed, 0 wrong, after");
    expect(secondsOf(finished.stdout)).toBeLessThan(SECONDS_MAX);
  });
});

type Pass = (from: Socket, to: Socket) => void;

/** Passes bytes on in pieces of any size, each for itself. */
const dribbling =
  (random: () => number): Pass =>
  (from, to) =>
    void dribble(from, to.setNoDelay(true), random).catch(() => to.destroy());

async function dribble(from: Socket, to: Socket, random: () => number): Promise<void> {
  for await (const chunk of from) {
    for (let at = 0; at < (chunk as Buffer).byteLength; ) {
      const byteCount = 1 + Math.floor(random() ** 4 * 200_000);
      to.write((chunk as Buffer).subarray(at, at + byteCount));
      at += byteCount;
      await new Promise(setImmediate);
    }
  }
  to.end();
}

/** Passes bytes on, but the last ones only when nothing has come behind them for a moment. */
function passEndsLate(from: Socket, to: Socket): void {
  let held = Buffer.alloc(0);
  let timer: NodeJS.Timeout | undefined;
  const pass = (): void => {
    to.write(held);
    held = Buffer.alloc(0);
  };
  from.on("data", (chunk: Buffer) => {
    clearTimeout(timer);
    const bytes = Buffer.concat([held, chunk]);
    const now = Math.max(0, bytes.byteLength - 40_000);
    if (now > 0) to.write(bytes.subarray(0, now));
    held = bytes.subarray(now);
    timer = setTimeout(pass, 3);
  });
  from.on("end", () => {
    clearTimeout(timer);
    to.end(held);
  });
}

/** Passes bytes on, as `pass` does where it says so, until it is told to cut. */
async function proxyTo(data: string, pass: { readonly server?: Pass; readonly client?: Pass } = {}) {
  const [host, port] = [data.slice(0, data.lastIndexOf(":")), Number(data.slice(data.lastIndexOf(":") + 1))];
  const sockets: Socket[] = [];
  const proxy = createServer((client) => {
    const server = createConnection({ host, port });
    sockets.push(client, server);
    const pipe: Pass = (from, to) => from.pipe(to);
    for (const each of [client, server]) each.on("error", () => {});
    (pass.client ?? pipe)(client, server);
    (pass.server ?? pipe)(server, client);
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  const cut = (): void => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  closing.push(() => {
    cut();
    proxy.close();
  });
  return { address: `127.0.0.1:${(proxy.address() as { port: number }).port}`, cut };
}

describe.runIf(canBuild)("a program", () => {
  it("has every byte of its copies in its place when they come in dribs", async () => {
    const pass = dribbling(createRandom(3));
    const proxy = await proxyTo(server.data, { server: pass, client: pass });
    const finished = await runProgram({
      server,
      command: [compileProgram("test/interposer/driver/large-copies.c")],
      env: { SLUICE_DATA: `tcp://${proxy.address}` },
    });
    expect(finished.code, finished.stdout + finished.stderr).toBe(0);
  });

  it("does not sleep on when the last bytes of a copy come late", async () => {
    const program = compileProgram("test/interposer/driver/large-copies.c");
    const millisecondsThrough = async (proxy: { readonly address: string }, copies: number): Promise<number> => {
      const command = [program, String(copies)];
      const began = performance.now();
      const finished = await runProgram({ server, command, env: { SLUICE_DATA: `tcp://${proxy.address}` } });
      expect(finished.code, finished.stdout + finished.stderr).toBe(0);
      return performance.now() - began;
    };
    const atOnce = await millisecondsThrough(await proxyTo(server.data), 10);
    // It would be a second for each of many copies.
    expect(await millisecondsThrough(await proxyTo(server.data, { server: passEndsLate }), 40)).toBeLessThan(
      9_000 + 8 * atOnce,
    );
  });

  it("that is not to come back gets an error when its connection is cut", async () => {
    const proxy = await proxyTo(server.data);
    const finished = await runProgram({
      server,
      command: [program, "wait"],
      env: { SLUICE_DATA: `tcp://${proxy.address}`, SLUICE_RESUME: "0" },
      onOutput: () => proxy.cut(),
    });
    expect(finished.code, finished.stdout + finished.stderr).toBe(3);
    expect(finished.stdout).toContain("CUDA_ERROR_DEVICE_UNAVAILABLE again 1");
    expect(finished.stderr).toContain("the connection to the server broke");
  });

  it.each([
    ["tcp", "0"],
    ["unix", "0"],
    ["tcp", "20s"],
    ["unix", "20s"],
  ])(
    "whose connection over %s is cut at any byte has the right result, or an error where its session waits for %s",
    async (kind, resume) => {
      const command = [compileProgram("test/interposer/driver/vector-add.c")];
      const random = createRandom(23);
      const folder = mkdtempSync(join(tmpdir(), "sluice-cut-"));
      closing.push(() => rmSync(folder, { recursive: true }));
      const runs = rounds(6);
      // Over a Unix socket copies go past it, and what is left is little.
      const bytesMax = kind === "unix" ? 1200 : 60_000;
      let failed = 0;
      for (let run = 0; run < runs; run++) {
        const cut = {
          direction: random() < 0.5 ? "up" : "down",
          // Every second in the handshake.
          afterBytes: Math.floor(random() * (run % 2 === 0 ? 250 : bytesMax)),
          how: random() < 0.5 ? "reset" : "fin",
        } as const;
        const [target, path] =
          kind === "unix" ? [socketOf(computing), join(folder, `${run}.sock`)] : [computing.data, undefined];
        // One that comes before the last program's session is over is sent away, and the program tries another.
        const proxy: CuttingProxy = await CuttingProxy.to(target, () => (proxy.cuts === 0 ? cut : undefined), path);
        const env = { SLUICE_DATA: `${kind}://${proxy.address}`, SLUICE_RESUME: resume };
        const { code, stdout, stderr } = await runProgram({ server: computing, borrowed, command, env });
        await proxy.close();
        const said = `${JSON.stringify(cut)}: ${stdout}${stderr}`;
        if (code === 0) expect(stdout, said).toBe("ok\n");
        else expect(stdout, said).toMatch(/^line \d+: .*: 46 CUDA_ERROR_DEVICE_UNAVAILABLE\n$/);
        expect(proxy.cuts, said).toBe(1);
        if (resume !== "0") expect(code, said).toBe(0);
        else failed += code === 0 ? 0 : 1;
      }
      if (resume === "0") expect(failed).toBeGreaterThan(runs / 2);
    },
  );

  it("tries another connection where its first is reset before it has looked at it", async () => {
    const cut = { direction: "down", afterBytes: 0, how: "reset" } as const;
    const proxy = await CuttingProxy.to(computing.data, (connection) => (connection === 0 ? cut : undefined));
    closing.push(() => proxy.close());
    const finished = await runProgram({
      server: computing,
      command: [compileProgram("test/interposer/faults/early-reset.c")],
      env: { SLUICE_DATA: `tcp://${proxy.address}` },
    });
    expect(finished, finished.stderr).toMatchObject({ code: 0, stdout: "1 after 2 connections\n" });
  });

  it("that touches managed memory after its lease has ended is stopped, and told why", async () => {
    const finished = await runProgram({
      server,
      command: [compileProgram("test/interposer/faults/managed-lost.c")],
      onOutput: async (control, lease) => {
        await control.release(lease.id, lease.secret);
      },
    });
    expect(finished.code).toBe("SIGSEGV");
    expect(finished.stderr).toMatch(/managed memory at \[0x\w+\] cannot be fetched from the device: CUDA_ERROR_/);
  });

  it("is told that the server does not answer", async () => {
    const finished = await runProgram({ server, command: [program], env: { SLUICE_DATA: "tcp://127.0.0.1:1" } });
    expect(finished.code).toBe(1);
    expect(finished.stderr).toContain("does not answer at [tcp://127.0.0.1:1]");
  });

  it("with a wrong secret is told so, and gets no device", async () => {
    const wrong = `lease-0:${Buffer.alloc(32).toString("base64url")}`;
    const finished = await runProgram({ server, command: [program], env: { SLUICE_LEASE: wrong } });
    expect(finished.code).toBe(1);
    expect(finished.stderr).toMatch(/refuses the session \[(LEASE_NOT_FOUND|WRONG_SECRET)\]/);
  });
});

describe.runIf(canBuild)("a kernel that the device cannot run", () => {
  it("fails where it is used, with its reason once on stderr, and costs its module and its session nothing", async () => {
    const command = [compileProgram("test/interposer/faults/refused-kernel.c")];
    const { code, stdout, stderr } = await runProgram({ server: computing, borrowed, command });
    expect({ code, stdout }).toEqual({ code: 0, stdout: "ok\n" });
    const why = "The cpu device does not have the instruction [frobnicate.u32] in line [13].";
    // The module's kernel says it, and the library's need not say it again.
    const line = `sluice: the kernel [lacking] cannot run on this device [UNSUPPORTED_INSTRUCTION]: ${why}`;
    expect(stderr.trim().split("\n")).toEqual([line]);
  });
});

describe.runIf(canBuild)("a texture that is gone, or never was one", () => {
  it.each(["destroyed", "none", "address"])("ends the kernel that uses it: %s", async (what) => {
    const program = compileProgram("test/interposer/faults/stale-textures.c");
    const { code, stdout, stderr } = await runProgram({ server: computing, borrowed, command: [program, what] });
    expect({ code, stdout }).toEqual({ code: 0, stdout: "ok\n" });
    expect(stderr).toMatch(
      /^sluice: the call \[launch\] failed \[ILLEGAL_ADDRESS\]: .* as a texture or surface, which names none/,
    );
  });
});

it.runIf(canBuild)("a program attaches its first device right behind HELLO, and waits for no WELCOME", async () => {
  const secret = new Uint8Array(32).fill(7);
  // It refuses every HELLO: what comes behind one nobody has asked for.
  const refuse = { code: "LEASE_ENDED", message: "The lease is over." } as const;
  const executor = await FakeExecutor.start({ secret, refuse });
  closing.push(() => void executor.close());
  const env = { SLUICE_LEASE: formatLeaseKeys([{ leaseId: "lease-1", secret }]), SLUICE_DATA: executor.endpoint };
  const finished = await runProgram({ server, command: [program], env });
  expect(finished.code).toBe(1);
  expect(finished.stderr).toContain("LEASE_ENDED");
  expect(executor.hellos).toHaveLength(1);
  expect(executor.names()).toEqual(["attach"]);
});

it.runIf(canBuild)(
  "a program that finds the server full of connections tries again, since those come and go",
  async () => {
    const secret = new Uint8Array(32).fill(7);
    const full = { code: "TOO_MANY_CONNECTIONS", message: "There are too many." } as const;
    const over = { code: "LEASE_ENDED", message: "The lease is over." } as const;
    let left = 2;
    const options = {
      secret,
      get refuse() {
        return left-- > 0 ? full : over;
      },
    };
    const executor = await FakeExecutor.start(options);
    closing.push(() => void executor.close());
    const env = { SLUICE_LEASE: formatLeaseKeys([{ leaseId: "lease-1", secret }]), SLUICE_DATA: executor.endpoint };
    const finished = await runProgram({ server, command: [program], env });
    expect(finished.stderr).toContain("LEASE_ENDED");
    expect(finished.stderr).not.toContain("TOO_MANY_CONNECTIONS");
    expect(executor.hellos).toHaveLength(3);
  },
);
