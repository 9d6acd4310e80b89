/**
 * An option that nobody knows is a slip of the pen, which would otherwise change what a program does without a word: the compiler tells
 * programs in TypeScript, this the others.
 */
import { SluiceError } from "../shared/errors.ts";

/** Every option, so that the compiler misses none: `{ bytes: true, stream: true } satisfies KnownOptions<CopyOptions>`. */
export type KnownOptions<Options> = { readonly [Name in keyof Required<Options>]: true };

/** @throws SluiceError BAD_ARGUMENT naming the first option that is not known. */
export function refuseUnknown(what: string, options: object, known: Readonly<Record<string, true>>): void {
  for (const name in options) {
    if (known[name] === true) continue;
    const names = Object.keys(known).join(", ");
    throw new SluiceError("BAD_ARGUMENT", `The option [${name}] of ${what} is none of [${names}].`);
  }
}
