/** The demo as a newcomer runs it: its exit code says whether the job learned, and whether the pool adds up afterwards. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, test } from "vitest";

test("the demo trains on a quarter of a device, gives it back, and says what it used", {
  timeout: 180_000,
}, async () => {
  const child = spawn(process.execPath, ["dist/client/examples/demo.js"], { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => {
    output += chunk.toString();
  });
  const [code] = await once(child, "close");
  expect(output).toMatch(/Recognised 9[5-9]\.\d\d % of 10,000 test images/);
  expect(output).toMatch(/share +\S+ [GM]iB of \S+ GiB \(25\.00 %\) of cpu:0/);
  for (const figure of ["held for", "calls per batch", "round trips", "bytes to the device", "bytes from the device"]) {
    expect(output).toContain(figure);
  }
  expect(output).toMatch(/lent in the pool now +0 B in 0 slices/);
  expect(code).toBe(0);
});
