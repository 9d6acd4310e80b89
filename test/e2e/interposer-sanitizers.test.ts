/** The interposer built with AddressSanitizer and with ThreadSanitizer, under the programs that use threads, streams and memory most. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildInterposer, canBuild, compileProgram, runProgram } from "../support/interposer.ts";
import { socketOf, startServer, type TestServer } from "../support/server.ts";

let server: TestServer;

beforeAll(async () => {
  if (!canBuild) return;
  server = await startServer({ args: ["--device", "cpu:1x512MiB"] });
});
afterAll(async () => {
  await server?.stop();
});

describe.runIf(canBuild).each(["address", "thread"] as const)("with the %s sanitizer", (sanitize) => {
  const chosen = ["threads", "streams", "pools", "memory", "textures", "mipmaps", "forks", "large-copies"];

  it("the interposer is clean", async () => {
    const libraries = buildInterposer(sanitize);
    const env = { SLUICE_DATA: `unix://${socketOf(server)}` };
    for (const name of chosen) {
      const flags = [`-fsanitize=${sanitize}`];
      const source = `test/interposer/driver/${name}.c`;
      const program = compileProgram(source, { flags, libraries, suffix: `-${sanitize}` });
      const finished = await runProgram({ server, command: [program], libraries, env });
      expect({ name, ...finished }).toEqual({ name, code: 0, stdout: "ok\n", stderr: "" });
    }
  }, 180_000);
});
