/** Tables of the command line: alignment, cutting to a width, bars. */
import { describe, expect, it } from "vitest";
import { formatBar, formatTable } from "../../client/cli/table.ts";
import { wrapped } from "../../client/cli/text-width.ts";

const columns = [{ title: "ID" }, { title: "NAME", shrinkTo: 6 }, { title: "SIZE", align: "right" as const }];

describe("a table", () => {
  it("lines its columns up, numbers on the right, without spaces at the end of a line", () => {
    expect(
      formatTable(
        columns,
        [
          ["a", "short", "1GiB"],
          ["bcd", "a longer name", "512MiB"],
        ],
        80,
      ),
    ).toBe(["ID   NAME             SIZE", "a    short            1GiB", "bcd  a longer name  512MiB"].join("\n"));
    expect(formatTable([{ title: "A" }, { title: "B" }], [["x", ""]], 80)).toBe("A  B\nx");
  });

  it("cuts what may be cut so that each line fits, and marks the cut", () => {
    const text = formatTable(columns, [["abc", "a very long name indeed", "512MiB"]], 24);
    expect(text.split("\n")).toEqual(["ID   NAME           SIZE", "abc  a very lon…  512MiB"]);
    for (const line of text.split("\n")) expect(line.length).toBeLessThanOrEqual(24);
  });

  it("leaves out what may be left out where a line is too long even so", () => {
    const rates = [...columns, { title: "RATE", isOptional: true }];
    expect(formatTable(rates, [["abc", "a name", "1GiB", "9"]], 24)).toBe(
      "ID   NAME    SIZE  RATE\nabc  a name  1GiB  9",
    );
    expect(formatTable(rates, [["abc", "a name", "1GiB", "9"]], 20)).toBe("ID   NAME    SIZE\nabc  a name  1GiB");
  });

  it("keeps a last column whole that may stand below its row, between words, where a line is too long for it", () => {
    const log = [
      { title: "ACTION", shrinkTo: 4 },
      { title: "DETAILS", isBelow: true },
    ];
    const rows = [
      ["Cordon", "a new fan is due 🙂"],
      ["Uncordon", ""],
      ["Drain", "0123456789abcdef"],
    ];
    expect(formatTable(log, rows, 40)).toContain("Cordon    a new fan is due 🙂\nUncordon\nDrain");
    const narrow = ["ACTION", "Cordon", "  a new fan", "  is due 🙂", "Uncordon", "Drain", "  0123456789", "  abcdef"];
    expect(formatTable(log, rows, 12)).toBe(narrow.join("\n"));
    expect(formatTable(log, [["Extended", "x"]], 6)).toBe("ACTION\nExten…\n  x");
    expect(formatTable(log, [["Extended", "x"]], 1)).toContain("\n  x");
  });

  it("never cuts below what is readable, nor columns that must be whole", () => {
    const text = formatTable(columns, [["a-very-long-id-that-matters", "a very long name", "512MiB"]], 10);
    expect(text).toContain("a-very-long-id-that-matters  a ver…  512MiB");
  });

  it("is not cut off a terminal", () => {
    expect(formatTable(columns, [["a", "n".repeat(500), "1"]], Number.POSITIVE_INFINITY)).toContain("n".repeat(500));
  });

  it("counts the columns that a terminal gives a character", () => {
    const names = ["結合テスト", "🙂🙂", "cafe\u0301", "e\u0301", "ab", "ｱｲ"];
    const rows = names.map((name) => [name, "x"]);
    for (const width of [80, 8, 7]) {
      const [, ...lines] = formatTable([{ title: "A", shrinkTo: 4 }, { title: "B" }], rows, width).split("\n");
      const before = lines.map((line) => columnsByHand(line.slice(0, line.indexOf("x"))));
      expect(new Set(before)).toEqual(new Set([width === 80 ? 12 : width - 1]));
    }
  });

  it("cuts between characters, never within one", () => {
    const cut = (text: string, width: number) =>
      formatTable([{ title: "A", shrinkTo: 1 }], [[text]], width).split("\n")[1];
    expect(cut("結合テスト", 6)).toBe("結合…");
    expect(cut("結合テスト", 5)).toBe("結合…");
    expect(cut("a🙂🙂🙂", 4)).toBe("a🙂…");
    expect(cut("e\u0301e\u0301e\u0301", 2)).toBe("e\u0301…");
    expect(cut("🙂🙂", 1)).toBe("…");
  });
});

describe("a text in lines", () => {
  it("ends them between words, and cuts a word that is longer", () => {
    expect(wrapped("結合テスト ab c", 6)).toEqual(["結合テ", "スト", "ab c"]);
    expect(wrapped("a  b", 3)).toEqual(["a b"]);
    expect(wrapped("", 3)).toEqual([]);
    expect(wrapped("🙂🙂", 1)).toEqual(["🙂", "🙂"]);
  });
});

/** Two for what is above the letters of Europe, none for what joins the character before it. */
const columnsByHand = (text: string): number =>
  [...text].reduce((sum, character) => {
    const code = character.codePointAt(0)!;
    const isJoined = code >= 0x300 && code < 0x370;
    const isWide = code >= 0x3000 && !(code >= 0xff61 && code < 0xffa0);
    return sum + (isJoined ? 0 : isWide ? 2 : 1);
  }, 0);

describe("a bar", () => {
  it.each([
    [0, "...."],
    [0.0001, "#..."],
    [0.5, "##.."],
    [0.9999, "###."],
    [1, "####"],
    [700, "####"],
    [-1, "...."],
    [Number.NaN, "...."],
  ])("of %s is %s: something is never nothing, part never all", (part, bar) => {
    expect(formatBar(part, { width: 4, unicode: false })).toBe(bar);
  });
});
