/** Opening a slice on memory that its last owner has only just left. */
import { expect, test } from "vitest";
import { openSettled } from "../../server/executor/settling.ts";
import { SluiceError } from "../../shared/errors.ts";

const full = new SluiceError("OUT_OF_MEMORY", "The device has not that much.");

test("a slice opens as soon as its memory has come back", async () => {
  let tries = 0;
  const open = async (): Promise<string> => {
    if (++tries < 3) throw full;
    return "slice";
  };
  expect(await openSettled(open, 60_000)).toBe("slice");
  expect(tries).toBe(3);
});

test("memory that does not come back is refused after a while", async () => {
  let tries = 0;
  const open = async (): Promise<never> => {
    tries++;
    throw full;
  };
  await expect(openSettled(open, 100)).rejects.toBe(full);
  expect(tries).toBeGreaterThan(1);
});

test("what is no want of memory is told at once", async () => {
  const failure = new SluiceError("DEVICE_FAILED", "The device fails.");
  let tries = 0;
  const open = async (): Promise<never> => {
    tries++;
    throw failure;
  };
  await expect(openSettled(open, 60_000)).rejects.toBe(failure);
  expect(tries).toBe(1);
});
