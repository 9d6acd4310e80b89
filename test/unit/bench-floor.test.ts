/** The floor and the emulated link carry every byte, in both their forms: C where there is a compiler, and Node. */
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { findCompiler } from "../../bench/floor/compile.ts";
import { Floor, nodeCommand } from "../../bench/floor/floor.ts";
import { Link } from "../../bench/link/link.ts";
import { runTool, startTool } from "../../bench/measure/tool.ts";

const isLinux = process.platform === "linux";
const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function startFloor(address: string): Promise<Floor> {
  const floor = await Floor.start(address);
  closers.push(() => floor.stop());
  return floor;
}

describe("the floor", () => {
  it("measures as many rounds as it is asked for, over TCP and a Unix socket", async () => {
    const folder = mkdtempSync(join(tmpdir(), "sluice-floor-"));
    closers.push(() => rmSync(folder, { recursive: true }));
    for (const address of ["127.0.0.1:0", `unix:${folder}/floor.sock`]) {
      const floor = await startFloor(address);
      const times = await floor.rounds({ requestBytes: 64, answerBytes: 100_000, rounds: 20, warmup: 3 });
      expect(times).toHaveLength(20);
      expect(times.every((time) => time > 0)).toBe(true);
    }
  });

  it("is the same in Node, where there is no compiler", async () => {
    const program = nodeCommand(new URL("../../bench/floor/floor-node.ts", import.meta.url).pathname);
    const server = await startTool([...program, "serve", "127.0.0.1:0"], { lines: 1 });
    closers.push(() => server.stop());
    const address = `127.0.0.1:${server.lines[0]}`;
    const output = await runTool([...program, "client", address, "300000", "64", "10", "2"]);
    expect(output.trim().split("\n")).toHaveLength(10);
  });

  it("tells why a tool fails", async () => {
    await expect(startTool([process.execPath, "-e", "console.error('no luck')"], { lines: 1 })).rejects.toThrow(
      "no luck",
    );
  });
});

const forms = [
  { name: "in C", node: false },
  { name: "in Node", node: true },
].filter(({ node }) => node || findCompiler() !== undefined);

describe.skipIf(!isLinux).each(forms)("the link $name", ({ node }) => {
  /** Sends everything back and ends when the other side ends. */
  async function startEcho(): Promise<number> {
    const server = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    closers.push(() => server.close());
    return (server.address() as AddressInfo).port;
  }

  async function startLink(roundTripMs: number, gigabitsPerSecond: number, port: number): Promise<string> {
    if (!node) {
      const link = await Link.start({ roundTripMs, gigabitsPerSecond }, [port]);
      closers.push(() => link.stop());
      return link.host;
    }
    const program = nodeCommand(new URL("../../bench/link/link-node.ts", import.meta.url).pathname);
    const numbers = [String(roundTripMs * 500), String(gigabitsPerSecond * 1000)];
    const link = await startTool([...program, ...numbers, `127.0.0.2:${port}=127.0.0.1:${port}`], { lines: 1 });
    closers.push(() => link.stop());
    return "127.0.0.2";
  }

  it("delivers every byte in order, and the end of the stream behind them", async () => {
    const port = await startEcho();
    const host = await startLink(1, 10, port);
    const sent = randomBytes(3_000_001);
    const socket = connect({ host, port });
    socket.end(sent);
    const received = createHash("sha256");
    let byteCount = 0;
    for await (const chunk of socket) {
      received.update(chunk);
      byteCount += (chunk as Buffer).byteLength;
    }
    expect(byteCount).toBe(sent.byteLength);
    expect(received.digest("hex")).toBe(createHash("sha256").update(sent).digest("hex"));
  });

  it("never delivers before the time of the round trip, nor faster than the rate", async () => {
    const port = await startEcho();
    const host = await startLink(20, 0.1, port);
    const socket = connect({ host, port });
    await once(socket, "connect");
    const start = performance.now();
    socket.write(Buffer.alloc(125_000));
    let missing = 125_000;
    for await (const chunk of socket) {
      missing -= (chunk as Buffer).byteLength;
      if (missing <= 0) break;
    }
    // 125 kB at 100 Mbit/s take 10 ms, and the delay comes on top.
    expect(performance.now() - start).toBeGreaterThan(29);
  });
});

it("a direct link is no proxy at all", async () => {
  const link = await Link.start({ roundTripMs: 0, gigabitsPerSecond: 0 }, [1]);
  expect(link.host).toBe("127.0.0.1");
  await link.stop();
});
