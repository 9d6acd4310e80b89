/** A session on a device of either kind in this process, with a raw client: for tests of how large data comes and goes. */
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { cpuDriver } from "../../server/device/cpu/driver.ts";
import type { DeviceDriver, DeviceSlice } from "../../server/device/device.ts";
import { nullDriver } from "../../server/device/null/driver.ts";
import { Parking, type Work } from "../../server/executor/parking.ts";
import { Session, type SessionPosition } from "../../server/executor/session.ts";
import { UsageCounter } from "../../server/executor/usage.ts";
import { Workspace } from "../../server/executor/workspace.ts";
import { ANSWERS, ARENA, callsFrame, frame, MiB, RawConnection, raw } from "./raw-client.ts";

const SETTLING_MS_MAX = 100;
export const MEMORY_BYTES = 32 * MiB;
export const drivers: readonly DeviceDriver[] = [nullDriver, cpuDriver];

/**
 * A client and a session on a device. Counted: how often the device's own memory was given to be sent (`views`) and to be read into (`places`), and
 * how often it was copied from (`reads`).
 */
export class DeviceStand {
  readonly usage = new UsageCounter();
  views = 0;
  places = 0;
  reads = 0;
  readonly #folder = mkdtempSync(join(tmpdir(), "sluice-stand-"));
  readonly server: Server = createServer();
  readonly parking = new Parking({
    current: () => this.#current,
    onLost: (error) => this.session.refuse(error),
    settlingMsMax: SETTLING_MS_MAX,
  });
  #current: Work | undefined;
  /** The device itself. */
  device!: DeviceSlice;
  client!: RawConnection;
  session!: Session;

  static async start(driver: DeviceDriver, resumeMs = 0, livenessMs?: number): Promise<DeviceStand> {
    const stand = new DeviceStand();
    // A Unix socket, since that is full after a fraction of a megabyte everywhere.
    stand.server.listen(join(stand.#folder, "socket"));
    await once(stand.server, "listening");
    const [description] = await driver.discover("1x32MiB");
    const assignment = { description: description!, arenaBytes: MEMORY_BYTES, arenaBase: ARENA };
    const work = new Workspace([assignment], async () =>
      stand.#counted(await driver.open({ ...assignment, kernelTimeoutMs: 0, onOutput: () => {} })),
    );
    stand.session = new Session({
      resumeMs,
      ...(livenessMs === undefined ? {} : { livenessMs }),
      work,
      usage: stand.usage,
      beforeGoodbye: () => work.close(),
    });
    stand.#current = { session: stand.session, work };
    void stand.session.ended.then(() => {
      stand.#current = undefined;
      stand.parking.ended();
    });
    await stand.connect();
    stand.client.send(callsFrame(raw.attach(), raw.allocate(ARENA, MEMORY_BYTES)));
    await stand.answers(1);
    return stand;
  }

  /** Gives the session a connection, in place of one that it may have; resolves to where the session stands. */
  async connect(clientReceived = 0): Promise<SessionPosition> {
    this.client = new RawConnection(join(this.#folder, "socket"));
    const [socket] = (await once(this.server, "connection")) as [Socket];
    let position!: SessionPosition;
    this.session.attach({
      socket,
      received: new Uint8Array(),
      clientReceived,
      welcome: (where) => {
        position = where;
        return frame(3, Buffer.alloc(32));
      },
    });
    return position;
  }

  #counted(slice: DeviceSlice): DeviceSlice {
    this.device = slice;
    const view = slice.view!.bind(slice);
    const place = slice.place!.bind(slice);
    const read = slice.read.bind(slice);
    slice.view = (...args) => {
      const bytes = view(...args);
      if (bytes !== undefined) this.views++;
      return bytes;
    };
    slice.place = (...args) => {
      const bytes = place(...args);
      if (bytes !== undefined) this.places++;
      return bytes;
    };
    slice.read = (...args) => {
      this.reads++;
      return read(...args);
    };
    return slice;
  }

  /** The bodies of the next answers. */
  async answers(count: number): Promise<Buffer[]> {
    const bodies: Buffer[] = [];
    while (bodies.length < count) {
      const next = await this.client.next();
      if (next === undefined) throw new Error("The connection is closed.");
      if (next.kind !== ANSWERS) continue;
      for (let at = 0; at < next.payload.length; ) {
        const byteCount = next.payload.readUInt32LE(at);
        expect(next.payload.readUInt32LE(at + 4)).toBe(0);
        bodies.push(next.payload.subarray(at + 16, at + byteCount));
        at += byteCount;
      }
    }
    return bodies;
  }

  async end(): Promise<void> {
    this.client.destroy();
    await this.session.ended;
    this.server.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Bytes that tell where they lie: no two places of a few MiB look alike. */
export function patterned(byteCount: number): Buffer {
  const words = Uint32Array.from({ length: byteCount / 4 }, (_, index) => Math.imul(index + 1, 2654435761));
  return Buffer.from(words.buffer);
}

/** The bytes in the body of an answer to `copyFromDevice`. */
export const dataOf = (body: Buffer): Buffer => body.subarray(8, 8 + body.readUInt32LE(0));
