/** The interposer built with AddressSanitizer and with ThreadSanitizer, under the programs that use threads, streams and memory most. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CuttingProxy } from "../support/cutting-proxy.ts";
import {
  type Borrowed,
  borrow,
  buildInterposer,
  canBuild,
  compileProgram,
  runProgram,
  waitingForCompilers,
} from "../support/interposer.ts";
import { createRandom } from "../support/random.ts";
import { socketOf, startServer, type TestServer } from "../support/server.ts";
import { waitFor } from "../support/wait-for.ts";

/** In the child of a fork the sanitizer looks for the thread that watches the connection, which is the parent's. */
const PARENTS_THREAD = /^==\d+==Running thread \d+ was not suspended\. False leaks are possible\.\n/m;

let server: TestServer;
let borrowed: Borrowed;

beforeAll(async () => {
  if (!canBuild) return;
  server = await startServer({ args: ["--device", "cpu:1x512MiB", ...waitingForCompilers] });
  borrowed = await borrow(server);
});
afterAll(async () => {
  await borrowed?.release();
  await server?.stop();
});

describe.runIf(canBuild).each(["address", "thread"] as const)("with the %s sanitizer", (sanitize) => {
  const chosen = ["threads", "streams", "pools", "memory", "textures", "mipmaps", "forks", "large-copies"];

  it("the interposer is clean", async () => {
    const libraries = buildInterposer(sanitize);
    // As on a machine with many processors, so that threads help with large copies.
    const env = { SLUICE_DATA: `unix://${socketOf(server)}`, SLUICE_AWAKE: "always" };
    for (const name of chosen) {
      const flags = [`-fsanitize=${sanitize}`];
      const source = `test/interposer/driver/${name}.c`;
      const program = compileProgram(source, { flags, libraries, suffix: `-${sanitize}` });
      const { code, stdout, stderr } = await runProgram({ server, borrowed, command: [program], libraries, env });
      expect({ name, code, stdout, stderr: stderr.replace(PARENTS_THREAD, "") }).toEqual({
        name,
        code: 0,
        stdout: "ok\n",
        stderr: "",
      });
    }
  }, 180_000);

  it("it is when its connection breaks again and again under several threads", async () => {
    const libraries = buildInterposer(sanitize);
    const source = "test/interposer/resume/storm.c";
    const program = compileProgram(source, { flags: [`-fsanitize=${sanitize}`], libraries, suffix: `-${sanitize}` });
    const random = createRandom(5);
    const proxy = await CuttingProxy.to(server.data, (connection) =>
      connection === 0
        ? undefined
        : {
            direction: random() < 0.5 ? "up" : "down",
            afterBytes: Math.floor(random() ** 2 * 60_000),
            how: random() < 0.5 ? "reset" : "fin",
            heardBy: random() < 0.05 ? "server" : "both",
          },
    );
    const folder = mkdtempSync(join(tmpdir(), "sluice-storm-"));
    const stop = join(folder, "stop");
    const env = { SLUICE_DATA: `tcp://${proxy.address}`, SLUICE_SILENCE: "500ms" };
    const command = [program, stop, "3", "200000"];
    let isOver = false;
    const finished = runProgram({
      server,
      borrowed,
      command,
      libraries,
      env,
      onOutput: () => void proxy.cutAll(),
    }).finally(() => {
      isOver = true;
    });
    await waitFor("the connection to break often", () => isOver || proxy.cuts >= 60, 80_000);
    proxy.plan = () => undefined;
    proxy.tellAll();
    writeFileSync(stop, "");
    const { code, stdout, stderr } = await finished;
    const others = stderr.split("\n").filter((line) => line !== "" && !line.startsWith("sluice: the "));
    expect({ code, others, last: stdout.trim().split("\n").at(-1) }).toEqual({
      code: 0,
      others: [],
      last: expect.stringMatching(/^ok after \d+ rounds$/),
    });
    await proxy.close();
    rmSync(folder, { recursive: true });
  }, 180_000);
});
