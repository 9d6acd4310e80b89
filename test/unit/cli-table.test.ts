/** Tables of the command line: alignment, cutting to a width, bars. */
import { describe, expect, it } from "vitest";
import { formatBar, formatTable } from "../../client/cli/table.ts";

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

  it("counts characters, not code units", () => {
    const [first, second] = formatTable(
      [{ title: "A" }, { title: "B" }],
      [
        ["🙂🙂", "x"],
        ["ab", "y"],
      ],
      80,
    )
      .split("\n")
      .slice(1);
    expect([...first!].indexOf("x")).toBe([...second!].indexOf("y"));
  });
});

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
