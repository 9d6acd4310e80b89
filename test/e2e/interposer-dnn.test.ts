/** cuDNN of unmodified programs where the server has none: they are told so by the first call that needs it, in a line, and nothing else is affected. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { buildInterposer, canBuild, compileProgram, runProgram } from "../support/interposer.ts";
import { startServer, type TestServer } from "../support/server.ts";

let server: TestServer;

beforeAll(async () => {
  if (!canBuild) return;
  buildInterposer();
  server = await startServer({ args: ["--device", "cpu:512MiB"] });
});
afterAll(async () => {
  await server?.stop();
});

it.runIf(canBuild)("a program against cuDNN hears that a device has none, and goes on with the device", async () => {
  const program = compileProgram("test/interposer/dnn/none.c", { flags: ["-l:libcudnn.so.9"] });
  const { code, stdout, stderr } = await runProgram({ server, command: [program] });
  expect({ code, stdout }, stderr).toEqual({ code: 0, stdout: "ok\n" });
  expect(stderr.match(/^sluice: there is no cuDNN for this program: .*has no cuDNN/gm)).toHaveLength(1);
  expect(stderr).toContain("cudnnIm2Col is not supported here: it is not served yet.");
});
