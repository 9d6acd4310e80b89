/** What others have written, made harmless for terminals, tables and JSON. */
import { describe, expect, it } from "vitest";
import { formatTable } from "../../client/cli/table.ts";
import { isPrintable, printable, printableComplaint, printableLines } from "../../shared/printable.ts";

const harmful = [
  "\u001b[2J",
  "\u0007",
  "\r",
  "\u007f",
  "\u009b31m",
  "\u202egnp.exe",
  "\u2066",
  "\u2028",
  "\u2029",
  "\u200f",
];

describe("text of others", () => {
  it.each(harmful)("%j is told by escapes that JSON reads as what it was", (text) => {
    expect(isPrintable(text)).toBe(false);
    expect(isPrintable(printable(text))).toBe(true);
    expect(printable(text)).toMatch(/^\\u[0-9a-f]{4}/);
    expect(JSON.parse(printableLines(JSON.stringify({ text })))).toEqual({ text });
  });

  it("that people write stays as it is", () => {
    for (const text of ["ünï 😀 日本語", "שלום", "a\\b", "👩‍💻", ""]) {
      expect(isPrintable(text)).toBe(true);
      expect(printable(text)).toBe(text);
    }
  });

  it("keeps its lines where it has some, and loses them where it must not", () => {
    expect(printableLines("a\n\u001bb\n")).toBe("a\n\\u001bb\n");
    expect(printable("a\nb")).toBe("a\\u000ab");
    expect(printableComplaint(`[${"x".repeat(70_000)}] is no size`).length).toBeLessThan(1_100);
  });

  it("breaks no table: cells are printable, and as wide as they are shown", () => {
    const text = formatTable([{ title: "NAME" }, { title: "X" }], [["a\u001b[2J\n", "1"]], 80);
    expect(text).toBe("NAME              X\na\\u001b[2J\\u000a  1");
  });
});
