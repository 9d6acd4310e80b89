/**
 * Mutated recordings and random values against a session's workspace: whatever a client says, the outcome is a recording or a SluiceError, and
 * no byte outside the session's own allocations changes. FUZZ_SECONDS bounds it (default 2), SEED replays a run.
 */
import { expect, it } from "vitest";
import type { DeviceDescription } from "../../server/device/device.ts";
import { nullDriver } from "../../server/device/null/driver.ts";
import { callFunctions } from "../../server/executor/call-functions.ts";
import { Workspace } from "../../server/executor/workspace.ts";
import { SluiceError } from "../../shared/errors.ts";
import { WireBuffer } from "../../shared/wire/wire-buffer.ts";
import { createRandom } from "../support/random.ts";
import { ARENA, raw } from "../support/raw-client.ts";

const seconds = Number(process.env["FUZZ_SECONDS"] ?? 2);
const seed = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);
const ARENA_BYTES = 1 << 20;
const OWN_BYTES = 8192;

const ptx = Buffer.from(
  ".version 8.0\n.target sm_75\n.address_size 64\n.visible .entry k(.param .u64 p, .param .u32 n) { ret; }",
);
const [description] = (await nullDriver.discover("1x64MiB")) as [DeviceDescription];

/** Runs one call as the session does; false when it fails as calls may. */
async function run(work: Workspace, bytes: Uint8Array): Promise<boolean> {
  const buffer = new WireBuffer(bytes.byteLength);
  buffer.u8.set(bytes);
  const entry = callFunctions[buffer.u32[0]!]!;
  try {
    await entry.run(work, entry.decode(buffer, 8, bytes.byteLength));
    return true;
  } catch (error) {
    expect(error).toBeInstanceOf(SluiceError);
    expect((error as SluiceError).code).not.toBe("INTERNAL");
    return false;
  }
}

it(
  "mutated recordings touch nothing that is not the session's",
  async () => {
    const random = createRandom(seed);
    const integer = (below: number): number => Math.floor(random() * below);
    const open = () =>
      nullDriver.open({
        description,
        arenaBytes: ARENA_BYTES,
        arenaBase: ARENA,
        kernelTimeoutMs: 0,
        onOutput: () => {},
      });
    const work = new Workspace([{ description, arenaBytes: ARENA_BYTES, arenaBase: ARENA }], open);
    const slice = await work.open(0);
    for (const call of [raw.allocate(ARENA, OWN_BYTES), raw.imageWrite(1, ptx.length, 0, ptx), raw.moduleLoad(1, 1)]) {
      expect(await run(work, call)).toBe(true);
    }
    expect(await run(work, raw.eventCreate(1))).toBe(true);
    const outcomes = { made: 0, replayed: 0, refused: 0 };
    const until = Date.now() + seconds * 1000;
    for (let recording = 1; Date.now() < until; recording++) {
      const calls = [
        raw.launch({ module: 1, params: Buffer.alloc(12) }),
        raw.fill(ARENA, 16, 4, 0xffffffff),
        raw.copyOnDevice(ARENA + 4096, ARENA, 64),
        raw.eventRecord(1),
      ];
      const patches = Array.from({ length: integer(5) }, () => {
        const call = integer(4);
        const offset = [48, 0, 8][call] ?? 0;
        return [call, offset + (call === 0 ? integer(4) : 0), call === 0 ? 1 + integer(8) : 8, integer(4) * 8] as const;
      });
      const made = raw.recordingCreate(recording, calls, { valueBytes: 32, patches });
      // Behind the header and the handle, so that it is still a recording of that number.
      for (let left = integer(4); left > 0; left--) made[12 + integer(made.length - 12)] = integer(256);
      if (await run(work, made)) outcomes.made++;
      else outcomes.refused++;
      for (let replay = 0; replay < 3; replay++) {
        const values = Buffer.alloc(32);
        for (let at = 0; at < 32; at += 8) {
          const near = random() < 0.7 ? ARENA + integer(2 * OWN_BYTES) : integer(2 ** 31) * integer(2 ** 20);
          values.writeBigUInt64LE(BigInt(near), at);
        }
        if (await run(work, raw.recordingReplay(recording, values))) outcomes.replayed++;
      }
      await run(work, raw.recordingDestroy(recording));
    }
    const outside = new Uint8Array(ARENA_BYTES - OWN_BYTES);
    await slice.device.read(ARENA + OWN_BYTES, outside, undefined);
    expect(outside.findIndex((byte) => byte !== 0)).toBe(-1);
    // A fuzz that only ever meets one outcome proves nothing.
    for (const count of Object.values(outcomes)) expect(count, `seed ${seed}`).toBeGreaterThan(10);
    await work.close();
  },
  (seconds + 20) * 1000,
);
