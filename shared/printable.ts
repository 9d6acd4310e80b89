/**
 * Text that others have written, for terminals, logs and tables: control characters move the cursor and change colours, and characters that turn
 * the direction of writing show one thing for another. Pure.
 */
const harmful = /[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}]/u;
const everyHarmful = new RegExp(harmful, "gu");
const everyHarmfulButLineEnds = /[^\P{Cc}\n]|[\p{Bidi_Control}\p{Zl}\p{Zp}]/gu;

/** Nobody reads a word that is longer, in a sentence. */
const WORD_LENGTH_MAX = 1_000;
const everyLongWord = new RegExp(`(\\S{${WORD_LENGTH_MAX}})\\S+`, "gu");

/** As JSON and JavaScript write them, so that JSON stays JSON: all of these characters have four digits. */
const escaped = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;

/** Whether a terminal shows the text as it is, on one line. */
export const isPrintable = (text: string): boolean => !harmful.test(text);

/** The text on one line, with escapes such as `\u001b` for what a terminal would not show. */
export const printable = (text: string): string => text.replace(everyHarmful, escaped);

/** The same of several lines. */
export const printableLines = (text: string): string => text.replace(everyHarmfulButLineEnds, escaped);

/** A complaint, which may quote anything: in printable lines, and words without end cut. */
export const printableComplaint = (text: string): string => printableLines(text).replace(everyLongWord, "$1…");
