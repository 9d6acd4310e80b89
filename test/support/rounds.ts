/**
 * How many trials a random test makes: the test's own number, which keeps a run short, times SLUICE_TEST_ROUNDS (default 1), for a longer
 * search or a short look.
 */
export function rounds(count: number): number {
  const text = process.env["SLUICE_TEST_ROUNDS"] ?? "1";
  const factor = Number(text);
  if (!(factor > 0 && Number.isFinite(factor)))
    throw new Error(`SLUICE_TEST_ROUNDS is a number above 0, not "${text}"`);
  return Math.ceil(count * factor);
}
