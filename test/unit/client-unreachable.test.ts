/** What a user reads whose server does not answer as gRPC: another port, TLS on one side alone, another CA. */
import { constants, createServer as createHttp2Server, type ServerHttp2Session } from "node:http2";
import { createServer, type Server } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { Control } from "../../client/control.ts";
import { type TestCertificates, testCertificates } from "../support/certificates.ts";

let certificates: TestCertificates;
let server: Server | undefined;

beforeAll(async () => {
  certificates = await testCertificates();
});
afterAll(() => certificates.remove());
afterEach(() => {
  server?.close();
});

const listen = (made: Server): Promise<string> =>
  new Promise((resolve) => {
    server = made.listen(0, "127.0.0.1", () => resolve(`127.0.0.1:${(made.address() as { port: number }).port}`));
  });

async function wordsFor(address: string, ca?: string): Promise<string> {
  const tls = ca === undefined ? undefined : { ca, cert: undefined, key: undefined };
  const control = new Control({ server: address, tls });
  try {
    await control.listDevices();
    return "It answers.";
  } catch (error) {
    expect(error).toMatchObject({ code: "SERVER_UNREACHABLE" });
    return (error as Error).message;
  } finally {
    control.close();
  }
}

const speaksTls = (): Server =>
  createTlsServer({ cert: certificates.server.cert, key: certificates.server.key, ALPNProtocols: ["h2"] });

test("a port that speaks something else is told from one where nobody is", async () => {
  const address = await listen(
    createServer((socket) => void socket.on("error", () => {}).end("HTTP/1.1 400 Bad\r\n\r\n")),
  );
  expect(await wordsFor(address)).toBe(
    `The server [${address}] does not answer [it does not speak gRPC there: the port is that behind \`grpc=\` of its first line].`,
  );
  server!.close();
  expect(await wordsFor("127.0.0.1:1")).toBe(
    "The server [127.0.0.1:1] does not answer [connect ECONNREFUSED 127.0.0.1:1].",
  );
});

test("a client without a CA at a port with TLS is told of TLS", async () => {
  expect(await wordsFor(await listen(speaksTls()))).toContain("it may speak TLS there, and the client was given no CA");
});

test("a client with a CA at a port without TLS is told that there is none", async () => {
  const address = await listen(createServer((socket) => void socket.on("error", () => {}).end("no TLS here\r\n")));
  const words = await wordsFor(address, certificates.ca.cert);
  expect(words).toContain("[it speaks no TLS there, and the client does: it was given a CA]");
  expect(words).not.toContain("\n");
});

test("a server of another CA is told from one that is not there", async () => {
  expect(await wordsFor(await listen(speaksTls()), certificates.stranger.cert)).toContain(
    "its certificate is not one of the CA that the client was given",
  );
});

test.each([constants.NGHTTP2_NO_ERROR, constants.NGHTTP2_INTERNAL_ERROR, constants.NGHTTP2_CANCEL])(
  "a request whose stream is broken off with the code %i, as by a server that goes, is asked again",
  async (code) => {
    let asked = 0;
    const sessions: ServerHttp2Session[] = [];
    const http2 = createHttp2Server().on("session", (session) => sessions.push(session));
    http2.on("stream", (stream) => {
      stream.on("error", () => {});
      stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
      if (++asked === 1) stream.close(code);
      else stream.end(Buffer.alloc(5)); // An empty message.
    });
    const control = new Control({ server: await listen(http2 as unknown as Server) });
    try {
      await expect(control.listDevices()).resolves.toMatchObject({ devices: [] });
      expect(asked).toBe(2);
    } finally {
      control.close();
      for (const session of sessions) session.destroy();
    }
  },
);

test("a server that is asked again at once says so in words, not in gRPC's", async () => {
  const control = new Control({ server: "127.0.0.1:1", tls: undefined });
  const words = new Set<string>();
  for (let tries = 0; tries < 5; tries++) await control.listDevices().catch((error: Error) => words.add(error.message));
  control.close();
  expect(words.size).toBeGreaterThan(0);
  for (const said of words) expect(said).toMatch(/ECONNREFUSED|a moment ago/);
});
