/** The counts of a lease's use: what is told of them, and that they grow without a change of what V8 has compiled. */
import { setFlagsFromString } from "node:v8";
import { expect, test } from "vitest";
import { UsageCounter } from "../../server/executor/usage.ts";

/** Whether V8 sees two objects of one shape, for which code that it has compiled holds. */
function haveOneShape(one: object, other: object): boolean {
  setFlagsFromString("--allow-natives-syntax");
  return new Function("one", "other", "return %HaveSameMap(one, other)")(one, other) as boolean;
}

test("the use of a lease that has done nothing is told as plain zeros", () => {
  const { calls, bytesReceived, bytesSent } = new UsageCounter().now();
  for (const count of [calls, bytesReceived, bytesSent]) expect(Object.is(count, 0)).toBe(true);
});

test("counts of bytes pass 2 GiB without another shape of their object, which would throw away all code compiled for it", () => {
  const unused = new UsageCounter();
  const usage = new UsageCounter();
  usage.bytesReceived += 3 * 2 ** 30;
  usage.bytesSent += 5 * 2 ** 30;
  expect(usage.now()).toMatchObject({ bytesReceived: 3 * 2 ** 30, bytesSent: 5 * 2 ** 30 });
  expect(haveOneShape(usage, unused)).toBe(true);
});
