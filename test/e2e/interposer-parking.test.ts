/**
 * Unmodified CUDA programs whose lease is suspended again and again while they run: they check their own results, print `ok` as ever, and
 * know nothing of it.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { cpuDriver } from "../../server/device/cpu/driver.ts";
import { DaemonStand } from "../support/daemon-stand.ts";
import { buildInterposer, canBuild, compileProgram } from "../support/interposer.ts";
import { runParked } from "../support/parked-program.ts";
import { createRandom } from "../support/random.ts";
import { MiB } from "../support/raw-client.ts";

let stand: DaemonStand;
/** Of all programs together. */
let parks = 0;
const random = createRandom(7);

beforeAll(() => {
  if (canBuild) buildInterposer();
});
beforeEach(async () => {
  stand = await DaemonStand.start({ driver: cpuDriver, spec: "1x256MiB", arenaBytes: 256 * MiB });
});
afterEach(() => stand.close());

describe.runIf(canBuild)("a program that is suspended again and again", () => {
  const names = ["large-copies", "managed", "memory", "streams", "graphs", "threads", "textures", "pools", "modules"];

  it.each(names.flatMap((name) => [[name, "TCP"] as const, [name, "a Unix socket"] as const]))(
    "%s comes to its end over %s",
    async (name, how) => {
      const program = compileProgram(`test/interposer/driver/${name}.c`, { suffix: "-parked" });
      const endpoint = how === "TCP" ? `tcp://${stand.address}` : `unix://${stand.path}`;
      const { parks: own, ...end } = await runParked(program, { stand, endpoint, random });
      parks += own;
      expect(end, `parked [${own}] times`).toEqual({ code: 0, stdout: "ok\n", stderr: "" });
    },
  );

  afterAll(() => {
    expect(parks).toBeGreaterThan(names.length * 2 * 3);
  });
});
