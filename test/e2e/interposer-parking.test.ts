/**
 * Unmodified CUDA programs whose lease is suspended again and again while they run: they check their own results, print `ok` as ever, and
 * know nothing of it.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cpuDriver } from "../../server/device/cpu/driver.ts";
import { DaemonStand } from "../support/daemon-stand.ts";
import { buildInterposer, canBuild, compileProgram } from "../support/interposer.ts";
import { runParked } from "../support/parked-program.ts";
import { createRandom } from "../support/random.ts";
import { MiB } from "../support/raw-client.ts";
import { waitFor } from "../support/wait-for.ts";

let stand: DaemonStand;
/** Of all programs together. */
let parks = 0;
const random = createRandom(7);

beforeAll(async () => {
  if (canBuild) buildInterposer();
  stand = await DaemonStand.start({ driver: cpuDriver, spec: "1x256MiB", arenaBytes: 256 * MiB });
});
afterAll(() => stand.close());

describe.runIf(canBuild)("a program that is suspended again and again", () => {
  // How large copies travel is what differs.
  const both = ["large-copies", "managed", "memory"].flatMap((name) => [
    [name, "TCP"] as const,
    [name, "a Unix socket"] as const,
  ]);
  const programs = [
    ...both,
    ["streams", "TCP"],
    ["graphs", "a Unix socket"],
    ["threads", "TCP"],
    ["textures", "a Unix socket"],
    ["pools", "TCP"],
    ["modules", "a Unix socket"],
  ] as const;

  it.each(programs)("%s comes to its end over %s", async (name, how) => {
    const program = compileProgram(`test/interposer/driver/${name}.c`, { suffix: "-parked" });
    const endpoint = how === "TCP" ? `tcp://${stand.address}` : `unix://${stand.path}`;
    const { parks: own, ...end } = await runParked(program, { stand, endpoint, random });
    parks += own;
    expect(end, `parked [${own}] times`).toEqual({ code: 0, stdout: "ok\n", stderr: "" });
    // A daemon would have the next program wait for it.
    const ended = () => stand.said.some(({ kind }) => kind === "sessionEnded");
    await waitFor("the end of its session", ended);
    stand.said = [];
  });

  afterAll(() => {
    expect(parks).toBeGreaterThan(programs.length * 3);
  });
});
