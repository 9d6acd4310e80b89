/**
 * The emulated link where there is no C compiler: the same program as link.c, in Node. It spins on `setImmediate` while
 * something is in flight, and takes the time at which it reads for the time of arrival; its own accuracy is measured and printed like the other's.
 */
import { connect, createServer, type Socket } from "node:net";

const [delayUs = "0", rateMbit = "0", ...maps] = process.argv.slice(2);
const delayMs = Number(delayUs) / 1000;
const msPerByte = Number(rateMbit) > 0 ? 8 / (Number(rateMbit) * 1000) : 0;
/** Held per direction before its source is paused. */
const IN_FLIGHT_BYTES_MAX = 64 * 1024 * 1024;

interface Piece {
  readonly deadline: number;
  readonly bytes: Buffer | undefined;
}

function lane(from: Socket, to: Socket): void {
  const pieces: Piece[] = [];
  let lineFree = 0;
  let inFlight = 0;
  let spinning = false;
  const deliver = (): void => {
    while (pieces.length > 0 && pieces[0]!.deadline <= performance.now()) {
      const { bytes } = pieces.shift()!;
      if (bytes === undefined) to.end();
      else {
        to.write(bytes);
        inFlight -= bytes.byteLength;
      }
    }
    if (inFlight < IN_FLIGHT_BYTES_MAX) from.resume();
    spinning = pieces.length > 0;
    if (spinning) setImmediate(deliver);
  };
  const add = (bytes: Buffer | undefined): void => {
    lineFree = Math.max(performance.now(), lineFree) + msPerByte * (bytes?.byteLength ?? 0);
    pieces.push({ deadline: lineFree + delayMs, bytes });
    inFlight += bytes?.byteLength ?? 0;
    if (inFlight >= IN_FLIGHT_BYTES_MAX) from.pause();
    if (!spinning) deliver();
  };
  from.on("data", add);
  from.on("end", () => add(undefined));
  from.on("error", () => to.destroy());
}

for (const map of maps) {
  const [listen = "", target = ""] = map.split("=");
  const part = (address: string) => {
    const colon = address.lastIndexOf(":");
    return { host: address.slice(0, colon), port: Number(address.slice(colon + 1)) };
  };
  const server = createServer({ allowHalfOpen: true }, (peer) => {
    const out = connect({ ...part(target), noDelay: true, allowHalfOpen: true });
    peer.setNoDelay(true);
    lane(peer, out);
    lane(out, peer);
  });
  await new Promise<void>((resolve) => {
    server.listen({ ...part(listen) }, () => {
      const bound = server.address();
      console.log(typeof bound === "object" && bound !== null ? bound.port : "");
      resolve();
    });
  });
}
process.stdin.on("end", () => process.exit(0)).resume();
