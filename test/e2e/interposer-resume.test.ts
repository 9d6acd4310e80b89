/**
 * Unmodified programs whose data connection breaks, at any byte and again and again: the session goes on over another connection, each call
 * executed once and each answer there once; and what they see when it cannot.
 */
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer } from "node:tls";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { DataRelay } from "../../client/cli/data-relay.ts";
import { testCertificates } from "../support/certificates.ts";
import { type Cut, CuttingProxy } from "../support/cutting-proxy.ts";
import {
  type Borrowed,
  borrow,
  buildInterposer,
  canBuild,
  compileProgram,
  type FinishedProgram,
  runProgram,
} from "../support/interposer.ts";
import { createRandom } from "../support/random.ts";
import { MiB } from "../support/raw-client.ts";
import { rounds } from "../support/rounds.ts";
import { socketOf, startServer, type TestServer } from "../support/server.ts";
import { waitFor } from "../support/wait-for.ts";

let storm: string;
let patient: string;
/** Of tests that leave it as it is. */
let server: TestServer;
/** Of programs whose sessions are over when they end. */
let borrowed: Borrowed;
const closing: (() => unknown)[] = [];

beforeAll(async () => {
  if (!canBuild) return;
  buildInterposer();
  storm = compileProgram("test/interposer/resume/storm.c");
  patient = compileProgram("test/interposer/resume/patient.c");
  server = await startServer({ args: ["--device", "cpu:1x512MiB"] });
  borrowed = await borrow(server, { memoryBytes: 32 * MiB });
});
afterAll(async () => {
  await borrowed?.release();
  await server?.stop();
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** A folder of the test's own. */
function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "sluice-resume-"));
  closing.push(() => rmSync(path, { recursive: true }));
  return path;
}

async function proxyTo(server: TestServer, kind: "tcp" | "unix" = "tcp"): Promise<CuttingProxy> {
  const proxy =
    kind === "unix"
      ? await CuttingProxy.to(socketOf(server), undefined, join(folder(), "data.sock"))
      : await CuttingProxy.to(server.data);
  closing.push(() => proxy.close());
  return proxy;
}

interface Running {
  readonly finished: Promise<FinishedProgram>;
  /** Lets it come to its end. */
  stop(): void;
}

/** Starts a program through a proxy; resolves once it says `begun`. The file that it waits for is its first argument. */
async function begin(
  server: TestServer,
  proxy: CuttingProxy,
  run: {
    readonly command: (stopFile: string) => string[];
    readonly env?: NodeJS.ProcessEnv;
    readonly kind?: string;
    readonly borrowed?: Borrowed;
  },
): Promise<Running> {
  const stopFile = join(folder(), "stop");
  const stop = (): void => writeFileSync(stopFile, "");
  let hasBegun = false;
  let isOver = false;
  const finished = runProgram({
    server,
    command: run.command(stopFile),
    env: { SLUICE_DATA: `${run.kind ?? "tcp"}://${proxy.address}`, ...run.env },
    msMax: 180_000,
    ...(run.borrowed === undefined ? {} : { borrowed: run.borrowed }),
    onOutput: () => {
      hasBegun = true;
    },
  }).finally(() => {
    isOver = true;
  });
  closing.push(stop);
  await waitFor("the program to begin", () => hasBegun || isOver);
  return { finished, stop };
}

const LARGEST = 3 << 20;

/** Breaks connections by `plan` until there were so many cuts, then lets the program end, and returns what it says. */
async function weather(
  server: TestServer,
  proxy: CuttingProxy,
  how: {
    readonly kind?: "tcp" | "unix";
    readonly plan: (connection: number) => Cut | undefined;
    readonly cuts: number;
    readonly threads: number;
    readonly bytesMax?: number;
  },
): Promise<FinishedProgram> {
  const { kind = "tcp", plan, cuts, threads, bytesMax = LARGEST } = how;
  const { finished, stop } = await begin(server, proxy, {
    kind,
    command: (stopFile) => [storm, stopFile, String(threads), String(bytesMax)],
    env: { SLUICE_SILENCE: "300ms" },
  });
  let result: FinishedProgram | undefined;
  void finished.then((done) => {
    result = done;
  });
  proxy.plan = plan;
  proxy.cutAll();
  await waitFor(`[${cuts}] cuts`, () => proxy.cuts >= cuts || result !== undefined, 150_000);
  proxy.plan = () => undefined;
  proxy.tellAll();
  stop();
  return await finished;
}

const expectRight = ({ code, stdout, stderr }: FinishedProgram): void => {
  expect(stdout.trim().split("\n").at(-1), stderr.slice(-2_000)).toMatch(/^ok after \d+ rounds$/);
  expect(code).toBe(0);
};

describe.runIf(canBuild)("an unmodified program", () => {
  it.each(["up", "down"] as const)(
    "goes on when every second connection breaks one byte later than the one before, %s",
    async (direction) => {
      const proxy = await proxyTo(server);
      let bytes = 0;
      const finished = await weather(server, proxy, {
        // Those between let it get somewhere.
        plan: (connection) => ({
          direction,
          afterBytes: connection % 2 === 0 ? 800 : bytes++,
          how: connection % 4 < 2 ? "reset" : "fin",
        }),
        cuts: 700,
        threads: 1,
        bytesMax: 300,
      });
      expectRight(finished);
      expect(bytes).toBeGreaterThanOrEqual(300);
    },
    200_000,
  );

  it.each([
    ["tcp", rounds(150), 3],
    ["unix", rounds(80), 3],
  ] as const)(
    "comes to its results over %s and %i cuts at any moment, in several threads",
    async (kind, cuts, threads) => {
      const proxy = await proxyTo(server, kind);
      const random = createRandom(cuts);
      const finished = await weather(server, proxy, {
        kind,
        plan: () => ({
          direction: random() < 0.5 ? "up" : "down",
          afterBytes: Math.floor(random() ** 3 * 120_000),
          how: random() < 0.5 ? "reset" : "fin",
          heardBy: random() < 0.03 ? (random() < 0.5 ? "client" : "server") : "both",
        }),
        cuts,
        threads,
      });
      expectRight(finished);
      expect(proxy.cuts).toBeGreaterThanOrEqual(cuts);
    },
    200_000,
  );
});

describe.runIf(canBuild)("a program whose connection is broken", () => {
  const answered = /^begun\nCUDA_SUCCESS 7 after [\d.]+ s\n$/;

  it("is told so once, and why, when it goes on", async () => {
    const proxy = await proxyTo(server);
    const { finished, stop } = await begin(server, proxy, { borrowed, command: (stopFile) => [patient, stopFile] });
    proxy.cutAll();
    stop();
    const { code, stdout, stderr } = await finished;
    expect([code, stdout]).toEqual([0, expect.stringMatching(answered)]);
    expect(stderr).toMatch(
      /^sluice: the connection to the server broke \[.+\]; the session goes on after \d+\.\d s\.\n$/,
    );
  });

  it("comes back while it calls nothing", async () => {
    const proxy = await proxyTo(server);
    const { finished, stop } = await begin(server, proxy, { borrowed, command: (stopFile) => [patient, stopFile] });
    for (let cuts = 1; cuts <= 3; cuts++) {
      expect(proxy.cutAll(cuts === 1 ? "fin" : "reset")).toBe(1);
      const passed = proxy.passed.down;
      // All of the handshake.
      await waitFor("another connection", () => proxy.connections > cuts && proxy.passed.down > passed + 150);
    }
    stop();
    const { code, stdout } = await finished;
    expect([code, stdout]).toEqual([0, expect.stringMatching(answered)]);
  });

  it("comes back when nobody tells it of the break, and nothing is heard", async () => {
    const proxy = await proxyTo(server);
    const { finished, stop } = await begin(server, proxy, {
      borrowed,
      command: (stopFile) => [patient, stopFile],
      env: { SLUICE_SILENCE: "200ms" },
    });
    proxy.cutAll("fin", "server");
    stop();
    const { stdout, stderr } = await finished;
    expect(stdout).toMatch(answered);
    expect(stderr).toBe("sluice: the server was silent; the session goes on over another connection.\n");
  });

  it("gets an error when the time is over, and no second one to wait for", async () => {
    const proxy = await proxyTo(server);
    const { finished, stop } = await begin(server, proxy, {
      command: (stopFile) => [patient, stopFile],
      env: { SLUICE_RESUME: "700ms" },
    });
    await proxy.close();
    closing.pop();
    stop();
    const { code, stdout, stderr } = await finished;
    expect(code).toBe(3);
    const seconds = Number(/^begun\nCUDA_ERROR_DEVICE_UNAVAILABLE 0 after ([\d.]+) s\n$/.exec(stdout)?.[1]);
    expect(seconds, stdout).toBeGreaterThan(0.5);
    expect(stderr).toMatch(/cannot be resumed within \[700\] ms: the server does not answer at \[tcp:/);
  });

  it("is told that its session is over, though its own connection says nothing", async () => {
    const server = await startServer({ args: ["--device", "cpu:1x512MiB", "--session-grace", "100ms"] });
    closing.push(() => server.stop());
    const proxy = await proxyTo(server);
    const { finished, stop } = await begin(server, proxy, {
      command: (stopFile) => [patient, stopFile],
      env: { SLUICE_SILENCE: "1s" },
    });
    proxy.cutAll("fin", "server");
    stop();
    const { code, stdout, stderr } = await finished;
    expect(code).toBe(3);
    expect(stdout).toMatch(/^begun\nCUDA_ERROR_\w+ 0 after [\d.]+ s\n$/);
    expect(stderr).toMatch(/session/);
  });

  it("ends soon when it ends meanwhile", async () => {
    const proxy = await proxyTo(server);
    const { finished, stop } = await begin(server, proxy, { command: (stopFile) => [patient, stopFile, "leave"] });
    await proxy.close();
    closing.pop();
    const from = performance.now();
    stop();
    expect((await finished).code).toBe(0);
    // It may try for half a minute to come back.
    expect(performance.now() - from).toBeLessThan(20_000);
  });

  it("goes on behind a relay whose secure connection breaks", async () => {
    const certificates = await testCertificates();
    closing.push(() => certificates.remove());
    const [host, port] = server.data.split(":") as [string, string];
    const door = createServer({ cert: certificates.server.cert, key: certificates.server.key }, (secure) => {
      const plain = connect({ host, port: Number(port) });
      for (const each of [secure, plain]) each.on("error", () => each.destroy());
      secure.pipe(plain).pipe(secure);
      secure.once("close", () => plain.destroy());
      plain.once("close", () => secure.destroy());
    }).listen(0, "127.0.0.1");
    closing.push(() => door.close());
    await once(door, "listening");
    const proxy = await CuttingProxy.to(`127.0.0.1:${(door.address() as AddressInfo).port}`);
    closing.push(() => proxy.close());
    const tls = { ca: certificates.ca.cert, cert: undefined, key: undefined };
    const relay = await DataRelay.open({
      endpoints: [`tls://${proxy.address}`],
      host: "127.0.0.1",
      server: { tls, submit: () => expect.unreachable() },
    });
    closing.push(() => relay?.close());
    const stopFile = join(folder(), "stop");
    const finished = runProgram({
      server,
      command: [storm, stopFile, "2", "100000"],
      env: { SLUICE_DATA: relay!.endpoint },
    });
    for (let cuts = 0; cuts < 30; cuts++) {
      const { connections, passed } = proxy;
      const before = passed.down;
      await waitFor("bytes to come", () => proxy.passed.down > before + 5_000);
      proxy.cutAll(cuts % 2 === 0 ? "reset" : "fin");
      await waitFor("another connection", () => proxy.connections > connections);
    }
    writeFileSync(stopFile, "");
    expectRight(await finished);
  });
});

describe.runIf(canBuild)("a program whose daemon", () => {
  it("is killed, and makes room for the next by SIGUSR2, works on, with and without its connection", async () => {
    const first = await startServer({ args: ["--device", "cpu:1x512MiB"] });
    let daemon = first;
    // The first clears up what all have left.
    closing.push(
      () => first.stop(),
      () => daemon.stop(),
    );
    const { grpc, data, state } = first;
    const proxy = await proxyTo(first);
    const { finished, stop } = await begin(first, proxy, {
      command: (stopFile) => [storm, stopFile, "2", "100000"],
      env: { SLUICE_RESUME: "60s" },
    });
    for (const signal of ["SIGKILL", "SIGUSR2"] as const) {
      daemon.kill(signal);
      await daemon.exited;
      const moved = proxy.passed.down;
      await waitFor("answers without a daemon", () => proxy.passed.down > moved + 100_000);
      const tried = proxy.connections;
      proxy.cutAll();
      await waitFor("the program to look for the server", () => proxy.connections > tried + 1);
      daemon = await startServer({ args: ["--device", "cpu:1x512MiB", "--listen", grpc, "--data", data], state });
      const later = proxy.passed.down;
      await waitFor("answers from the next daemon's connection", () => proxy.passed.down > later + 100_000);
    }
    stop();
    expectRight(await finished);
  });
});
