/** What someone who waits is told. */
import { expect, it } from "vitest";
import { describeEveryReason, describePlace, describeReason, describeReasons } from "../../client/cli/place.ts";

const reason = (index: number) => ({
  device: `null:${index}`,
  code: "NOT_ENOUGH_MEMORY" as const,
  message: `Device [null:${index}] has [0B] free.`,
});

it("a reason names its device once, and none where the request as a whole is meant", () => {
  expect(describeReason(reason(0))).toBe("Device [null:0] has [0B] free.");
  expect(describeReason({ device: "cpu:0", message: "It is cordoned." })).toBe("cpu:0: It is cordoned.");
  expect(describeReason({ device: "", message: "The quota is used up." })).toBe("The quota is used up.");
});

it("a few reasons are told, and how many more there are", () => {
  const all = Array.from({ length: 100 }, (_unused, index) => reason(index));
  expect(describeReasons(all.slice(0, 4))).toHaveLength(4);
  expect(describeReasons(all)).toHaveLength(5);
  expect(describeReasons(all).at(-1)).toContain("The other [96] devices");
});

it("every reason is told once, with how many devices it holds for and in the order of the first of them", () => {
  const many = Array.from({ length: 200 }, (_unused, index) => reason(index));
  const cordoned = { device: "null:7", code: "DEVICE_CORDONED" as const, message: "Device [null:7] is cordoned." };
  const told = describeEveryReason([...many.slice(0, 7), cordoned, ...many.slice(8)], describeReason);
  expect(told).toEqual([
    "Device [null:0] has [0B] free. So it is with [198] more, the last of them [null:199].",
    "Device [null:7] is cordoned.",
  ]);
  // Devices that differ in a number are told one by one.
  const other = { ...reason(1), message: "Device [null:1] has [1GiB] free." };
  expect(describeEveryReason([reason(0), other], describeReason)).toHaveLength(2);
});

it("a place in the queue is one line", () => {
  expect(describePlace({ position: 3, reasons: [reason(1)] })).toBe(
    "Waiting, place 3 in the queue. Device [null:1] has [0B] free.",
  );
  expect(describePlace({ position: 1, reasons: [] })).toBe("Waiting, place 1 in the queue.");
});
