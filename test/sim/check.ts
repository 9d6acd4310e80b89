/** What must hold in the simulator. */

/** Throws, in the words of the sentence, unless it holds. */
export function check(holds: boolean, sentence: string): asserts holds {
  if (!holds) throw new Error(`Invariant broken: ${sentence}`);
}
