/**
 * Options as programs in plain JavaScript give them: one that nobody knows is a slip of the pen, and one of another kind would be taken for
 * something else without a word. The compiler tells programs in TypeScript, this the others.
 */
import { SluiceError } from "../shared/errors.ts";
import { shown } from "./shown.ts";

/** What an option may be, in words; `any` has a check of its own. What is secret is never shown. */
const kinds = {
  any: "left out",
  boolean: "true or false",
  number: "a number",
  string: "a text",
  secret: "a text",
  texts: "a list of texts",
  function: "a function",
  signal: "an AbortSignal",
} as const;
type Kind = keyof typeof kinds;

/** Every option with its kind, so that the compiler misses none: `{ bytes: "number", stream: "any" } satisfies KnownOptions<CopyOptions>`. */
export type KnownOptions<Options> = { readonly [Name in keyof Required<Options>]: Kind };

/** @throws SluiceError BAD_ARGUMENT for what is no object, naming the first option that is not known or of another kind. */
export function checkOptions(what: string, options: object, known: Readonly<Record<string, Kind>>): void {
  if (!isObject(options)) throw noObject(`The options of ${what} are`, options);
  for (const name in options) {
    const value: unknown = options[name as keyof typeof options];
    const kind = known[name];
    // Nearly all that are given are right.
    if (typeof value !== kind && (kind !== "any" || value === null)) checkOption({ what, name, value, known });
  }
}

function checkOption(option: {
  what: string;
  name: string;
  value: unknown;
  known: Readonly<Record<string, Kind>>;
}): void {
  const { what, name, value, known } = option;
  if (!Object.hasOwn(known, name)) {
    throw bad(`The option [${name}] of ${what} is none of [${Object.keys(known).join(", ")}].`);
  }
  const kind = known[name]!;
  if (value === undefined || isOf(kind, value)) return;
  const given = kind === "secret" ? `of the type [${typeof value}]` : `[${shown(value)}]`;
  throw bad(`The option [${name}] of ${what} is ${given}, and not ${kinds[kind]}.`);
}

/** `null` is never one: what is not wished is left out. */
function isOf(kind: Kind, value: unknown): boolean {
  if (kind === "secret") return typeof value === "string";
  if (kind === "texts") return Array.isArray(value) && value.every((text) => typeof text === "string");
  if (kind === "signal") return isSignal(value);
  return typeof value === kind;
}

/** Also one of another realm, or of a library that makes its own. */
function isSignal(value: unknown): boolean {
  const { aborted, addEventListener, removeEventListener } = (value ?? {}) as Partial<AbortSignal>;
  return (
    typeof aborted === "boolean" && typeof addEventListener === "function" && typeof removeEventListener === "function"
  );
}

/** @throws SluiceError BAD_ARGUMENT for what is no object with names in it; `what` ends with the verb. */
export function checkObject(what: string, value: object): void {
  if (!isObject(value)) throw noObject(what, value);
}

const isObject = (value: unknown): boolean => typeof value === "object" && value !== null && !Array.isArray(value);

const noObject = (what: string, value: unknown): SluiceError =>
  bad(`${what} [${shown(value)}], and not an object with names.`);

/** @throws SluiceError BAD_ARGUMENT for what cannot be called */
export function checkFunction(what: string, value: unknown): void {
  if (typeof value !== "function") throw bad(`${what} is [${shown(value)}], and not a function.`);
}

/** @throws SluiceError BAD_ARGUMENT for what is no text */
export function checkText(what: string, value: unknown): void {
  if (typeof value !== "string") throw bad(`${what} is [${shown(value)}], and not a text.`);
}

/** What stands behind a word. @throws SluiceError BAD_ARGUMENT for a word that there is not */
export function named<Words extends Readonly<Record<string, unknown>>>(
  what: string,
  words: Words,
  word: keyof Words,
): Words[keyof Words] {
  if (typeof word === "string" && Object.hasOwn(words, word)) return words[word] as Words[keyof Words];
  throw bad(`${what} is [${shown(word)}]; there are [${Object.keys(words).join(", ")}].`);
}

const bad = (message: string): SluiceError => new SluiceError("BAD_ARGUMENT", message);
