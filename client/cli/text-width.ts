/** Texts by the columns that a terminal gives them: two for a wide character or an emoji, none for an accent that joins the letter before it. */
import truncatedWidth from "fast-string-truncated-width";

/** How many columns of a terminal a text takes. */
export const widthOf = (text: string): number => truncatedWidth(text).width;

export interface Fit {
  /** In columns. */
  readonly width: number;
  /** Default left. */
  readonly align?: "left" | "right" | undefined;
  /** What stands for the rest of a text that is cut, of one column. Default: `…`. */
  readonly ellipsis?: string;
}

/** A text on exactly so many columns, at least one: filled with spaces, or cut. */
export function fitted(text: string, { width, align = "left", ellipsis = "…" }: Fit): string {
  const { index, truncated } = truncatedWidth(text, { limit: Math.max(1, width), ellipsis, ellipsisWidth: 1 });
  const shown = truncated ? text.slice(0, index) + ellipsis : text;
  // Where a wide character stood at the cut, a column is left.
  const padding = " ".repeat(Math.max(0, width - widthOf(shown)));
  return align === "right" ? padding + shown : shown + padding;
}

/** A text as lines of at most `width` columns, which end between words; a word that is longer is cut. */
export function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (let word of text.split(" ").filter(Boolean)) {
    const longer = line === "" ? word : `${line} ${word}`;
    if (widthOf(longer) <= width) {
      line = longer;
      continue;
    }
    if (line !== "") lines.push(line);
    for (; widthOf(word) > width; word = word.slice(lines.at(-1)!.length)) lines.push(beginningOf(word, width));
    line = word;
  }
  return line === "" ? lines : [...lines, line];
}

/** As much of a word as has room, and at least a character of it. */
function beginningOf(word: string, width: number): string {
  const { index } = truncatedWidth(word, { limit: width });
  return index > 0 ? word.slice(0, index) : [...word][0]!;
}
