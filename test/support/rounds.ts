/**
 * How many trials a random test makes. The numbers in the tests are about three times what found the mutations that were planted for them;
 * SLUICE_TEST_ROUNDS multiplies them all (default 1), for a longer search or a short look.
 */
export function rounds(count: number): number {
  const text = process.env["SLUICE_TEST_ROUNDS"] ?? "1";
  const factor = Number(text);
  if (!(factor > 0 && Number.isFinite(factor)))
    throw new Error(`SLUICE_TEST_ROUNDS is a number above 0, not "${text}"`);
  return Math.ceil(count * factor);
}
