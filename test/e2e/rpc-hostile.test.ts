/**
 * Every RPC with messages that no good client sends: bytes that are none, and wrong values in each field, over gRPC and over HTTP. Each is answered,
 * by a code of the table with a sentence, or does what it says; the pool's sums hold, and the server has nothing to report.
 */
import { Client, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import protobuf from "protobufjs/light.js";
import { afterAll, beforeAll, expect, it } from "vitest";
import { descriptor } from "../../proto/generated/descriptor.ts";
import { contract, fromStatus } from "../../proto/load.ts";
import { isPrintable } from "../../shared/printable.ts";
import { environmentOf, runShort } from "../support/commands.ts";
import { RawControl } from "../support/raw-client.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { inTime } from "../support/wait-for.ts";

const MiB = 1024 ** 2;

let server: TestServer;
let client: Client;
let control: RawControl;

beforeAll(async () => {
  server = await startServer({ args: ["--device", "null:2x64MiB", "--requests-per-second", "0", "--grace", "0s"] });
  client = new Client(server.grpc, credentials.createInsecure());
  control = new RawControl(server.grpc);
});
afterAll(async () => {
  client.close();
  control.close();
  await server.stop();
});

const root = protobuf.Root.fromJSON(descriptor as unknown as Parameters<typeof protobuf.Root.fromJSON>[0]).resolveAll();

interface Method {
  readonly path: string;
  readonly type: protobuf.Type;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
}

const methods: Method[] = [contract.PoolService.service, contract.AdminService.service].flatMap((service) =>
  Object.values(service).map(({ path, requestStream, responseStream }) => {
    const [, name, method] = path.split("/");
    const type = root.lookupService(name!).methods[method!]!.resolvedRequestType!;
    return { path, type, requestStream, responseStream };
  }),
);

/** Makes of a value of each kind of field bytes that are wrong there, by an encoder of its own. */
const varint = (value: bigint): number[] =>
  value < 128n ? [Number(value)] : [Number(value & 127n) | 128, ...varint(value >> 7n)];
const tagged = (id: number, wire: number, bytes: Uint8Array | readonly number[]): Buffer =>
  Buffer.from([...varint(BigInt(id * 8 + wire)), ...bytes]);
const sized = (id: number, bytes: Uint8Array): Buffer => tagged(id, 2, [...varint(BigInt(bytes.length)), ...bytes]);
const double = (value: number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return bytes;
};

const texts = ["", " ", "\u001b[2J\u202e\n", "__proto__", "x".repeat(30_000)].map((text) => Buffer.from(text));
const numbers = [0n, 2n ** 32n - 1n, 2n ** 53n, 2n ** 64n - 1n];

function wrongValues({ id, type, repeated, resolvedType }: protobuf.Field): Buffer[] {
  if (resolvedType instanceof protobuf.Type)
    return [
      sized(id, Buffer.alloc(0)),
      sized(id, Buffer.from([0xff, 0xff])),
      ...resolvedType.fieldsArray.flatMap((field) => wrongValues(field.resolve())).map((bytes) => sized(id, bytes)),
    ];
  if (type === "double")
    return [Number.NaN, Number.NEGATIVE_INFINITY, -1, 5e-324, 1e308].map((value) => tagged(id, 1, double(value)));
  if (type === "string" || type === "bytes")
    return [
      ...[...texts, Buffer.from([0xff, 0xfe])].map((bytes) => sized(id, bytes)),
      ...(repeated ? [Buffer.concat(Array.from({ length: 10_000 }, () => sized(id, Buffer.from("a"))))] : []),
    ];
  return [...numbers.map((value) => tagged(id, 0, varint(value))), tagged(id, 2, [200, 1])];
}

const noMessages = [[0xff, 0xff, 0xff], [0x0a, 40, 1], [0, 1], new Array<number>(5_000).fill(0x0b)].map((bytes) =>
  Buffer.from(bytes),
);

const asIs = (bytes: Buffer): Buffer => bytes;

/** How a call ends: by an error, or with something else, which is called off. */
function call({ path, requestStream, responseStream }: Method, bytes: Buffer): Promise<ServiceError | undefined> {
  const ended = new Promise<ServiceError | undefined>((resolve) => {
    if (!responseStream) {
      client.makeUnaryRequest(path, asIs, asIs, bytes, new Metadata(), {}, (error) => resolve(error ?? undefined));
      return;
    }
    const metadata = new Metadata();
    const talk = requestStream ? client.makeBidiStreamRequest(path, asIs, asIs, metadata) : undefined;
    const stream = talk ?? client.makeServerStreamRequest(path, asIs, asIs, bytes, metadata);
    let error: ServiceError | undefined;
    stream.on("data", () => stream.cancel());
    stream.on("error", (failure: ServiceError) => {
      error = failure.code === status.CANCELLED ? undefined : failure;
    });
    stream.on("status", () => resolve(error));
    talk?.write(bytes);
    talk?.end();
  });
  return inTime(`an end of ${path}`, ended);
}

async function expectSums(): Promise<void> {
  for (const device of await control.devices())
    expect(device.grantedBytes + device.overheadBytes + device.reservedBytes + device.freeBytes).toBe(64 * MiB);
}

it("wrong values in every field of every RPC end in a code of the table with a sentence", async () => {
  let refused = 0;
  for (const method of methods) {
    const wrong = method.type.fieldsArray.flatMap((field) => wrongValues(field.resolve()));
    // A data connection without a handshake is waited for.
    if (method.path.endsWith("/Submit")) continue;
    const failures = await Promise.all([...noMessages, ...wrong].map((bytes) => call(method, bytes)));
    for (const failure of failures.filter((each) => each !== undefined)) {
      const { code, message } = fromStatus(failure);
      expect([method.path, code, message]).not.toEqual([method.path, "INTERNAL", message]);
      expect(message).toMatch(/\S\.$/);
      expect([message, isPrintable(message), message.length < 1_000]).toEqual([message, true, true]);
      refused++;
    }
    for (const failure of failures.slice(0, noMessages.length))
      expect(fromStatus(failure!)).toMatchObject({
        code: "BAD_ARGUMENT",
        message: expect.stringMatching(/not readable/),
      });
  }
  expect(refused).toBeGreaterThan(300);
  await expectSums();
  expect(server.log()).not.toContain("fails inside");
});

it("what is no message is told so to who holds a stream open, too", async () => {
  const submit = methods.find(({ path }) => path.endsWith("/Submit"))!;
  expect(fromStatus((await call(submit, noMessages[0]!))!)).toMatchObject({ code: "BAD_ARGUMENT" });
});

it("bytes that are no message are refused over HTTP by the same words", async () => {
  for (const { path, requestStream } of methods) {
    if (requestStream) continue;
    const url = `${server.admin}/api/${path.slice("/sluice.v1.".length)}`;
    const attempts = [
      ["application/x-protobuf", noMessages[0]!],
      ["application/json", Buffer.from('{"nothing of the kind": 1}')],
      ["application/json", Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])],
    ] as const;
    const answers = attempts.map(([type, body]) =>
      fetch(url, { method: "POST", body: new Uint8Array(body), headers: { "content-type": type } }),
    );
    for (const answer of await Promise.all(answers)) {
      // Streams over HTTP are some services' alone.
      if (answer.status === 404) continue;
      expect([path, answer.status]).toEqual([path, 400]);
      expect(await answer.json()).toMatchObject({ code: "BAD_ARGUMENT" });
    }
  }
  expect(server.log()).not.toContain("fails inside");
});

it("what is too large for the server is no fault of the server's", async () => {
  const env = environmentOf(server);
  const { code, stderr } = await runShort(["cordon", "null:0", "--message", "x".repeat(100_000)], { env });
  expect([code, stderr]).toEqual([2, expect.stringContaining("A message is too large [")]);
});
