/**
 * The floor where there is no C compiler: the same program as floor.c (without `pin`), in Node. The report names it as such,
 * since its round trips cost more than C's.
 */
import { connect, createServer, type Socket } from "node:net";

const HEADER_BYTES = 16;

const isUnix = (address: string): boolean => address.startsWith("unix:");

function endpointOf(address: string): { path: string } | { host: string; port: number } {
  if (isUnix(address)) return { path: address.slice("unix:".length) };
  const colon = address.lastIndexOf(":");
  return { host: address.slice(0, colon), port: Number(address.slice(colon + 1)) };
}

function serveOne(socket: Socket): void {
  socket.setNoDelay(true);
  socket.on("error", () => socket.destroy());
  let header = Buffer.alloc(0);
  let requestBytes = 0;
  let answer = Buffer.alloc(0);
  let received = 0;
  socket.on("data", (chunk) => {
    let bytes = chunk.byteLength;
    if (header.byteLength < HEADER_BYTES) {
      header = Buffer.concat([header, chunk]);
      if (header.byteLength < HEADER_BYTES) return;
      requestBytes = Number(header.readBigUInt64LE(0));
      answer = Buffer.alloc(Number(header.readBigUInt64LE(8)), 1);
      socket.write("r");
      bytes = header.byteLength - HEADER_BYTES;
    }
    received += bytes;
    for (; received >= requestBytes; received -= requestBytes) socket.write(answer);
  });
}

function serve(address: string): void {
  const server = createServer(serveOne);
  server.listen(endpointOf(address), () => {
    const bound = server.address();
    console.log(typeof bound === "object" && bound !== null ? bound.port : address);
  });
  process.stdin.on("end", () => process.exit(0)).resume();
}

async function client(address: string, sizes: { requestBytes: number; answerBytes: number }, counts: number[]) {
  const [rounds = 0, warmup = 0, piece = sizes.requestBytes] = counts;
  const socket = connect(endpointOf(address));
  socket.setNoDelay(true);
  let missing = 1;
  let done: () => void = () => {};
  socket.on("data", (chunk) => {
    missing -= chunk.byteLength;
    if (missing === 0) done();
  });
  const answered = (byteCount: number): Promise<void> =>
    new Promise((resolve, reject) => {
      missing = byteCount;
      done = resolve;
      socket.once("error", reject);
    });
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeBigUInt64LE(BigInt(sizes.requestBytes), 0);
  header.writeBigUInt64LE(BigInt(sizes.answerBytes), 8);
  const ready = answered(1);
  socket.setMaxListeners(0);
  socket.write(header);
  await ready;
  const request = Buffer.alloc(sizes.requestBytes, 1);
  const times: bigint[] = [];
  for (let round = -warmup; round < rounds; round++) {
    const start = process.hrtime.bigint();
    const answer = new Promise<void>((resolve) => {
      missing = sizes.answerBytes;
      done = resolve;
    });
    for (let at = 0; at < request.byteLength; at += piece) socket.write(request.subarray(at, at + piece));
    await answer;
    if (round >= 0) times.push(process.hrtime.bigint() - start);
  }
  console.log(times.join("\n"));
  socket.destroy();
}

const [verb, address = "", ...numbers] = process.argv.slice(2);
if (verb === "serve") serve(address);
else {
  const [requestBytes = 0, answerBytes = 0, ...counts] = numbers.map(Number);
  await client(address, { requestBytes, answerBytes }, counts);
}
