/** The language of the tables of libraries' functions: sizes by expression, families, and lines that are none. */
import { describe, expect, it, test } from "vitest";
import { type LibrarySpec, readLibrary } from "../../shared/library-functions.ts";
import { namesOf, parseSize, sizeOf } from "../../shared/size-expression.ts";

describe("a size", () => {
  const named = (name: string): bigint => ({ m: 3n, n: 5n, lda: 7n, huge: 2n ** 62n })[name] ?? -1n;

  it.each([
    ["12", 12n],
    ["lda*n", 35n],
    ["lda*(n-1)+m", 31n],
    ["m+n*lda", 38n],
    ["m-n-lda", -9n],
    ["max(m,n)*2", 10n],
    ["lda*min(m,n-4)", 7n],
    ["(m==3)*n", 5n],
    ["m==n-2", 1n],
    ["(m==n)*lda", 0n],
    ["huge*huge*huge", 2n ** 186n],
    ["matrix(m,n,lda)", 31n],
    ["matrix(m,0,lda)+matrix(0,n,lda)+matrix(m-n,n,lda)", 0n],
    ["matrices(m,n,lda,40,2+1)", 111n],
    ["matrices(m,n,lda,40,0)", 0n],
  ])("of %s is worked out as it is written", (text, size) => {
    expect(sizeOf(parseSize(text), named)).toBe(size);
  });

  it("names what it is made of", () => {
    expect(namesOf(parseSize("lda*(max(m,n)-1)+(k==0)"))).toEqual(["lda", "m", "n", "k"]);
  });

  it.each([
    "",
    "m+",
    "(m",
    "m)",
    "max(m)",
    "max m,n",
    "matrix(m,n)",
    "matrices(m,n,lda)",
    "m/n",
    "m n",
    "m=n",
    "-m",
    "f(m)",
  ])("[%s] is none", (text) => {
    expect(() => parseSize(text)).toThrow("A size");
  });
});

const spec = (lines: Record<string, string>): LibrarySpec => ({
  name: "cuSome",
  word: "some",
  descriptors: { plan: { make: "someCreate", destroy: "someDestroy" } },
  measures: ["input"],
  lines,
});

test("a family is a function for each type of element, which its pointers have", () => {
  const { functions } = readLibrary(spec({ "some{S,Dxy,C,Z}f": "i32 n, pointer A of n*n T, pointer W of n R" }));
  expect(functions.map(({ name, arguments: all }) => [name, ...all.slice(1).map(({ size }) => size?.element)])).toEqual(
    [
      ["someSf", "f32", "f32"],
      ["someDxyf", "f64", "f64"],
      ["someCf", "c32", "f32"],
      ["someZf", "c64", "f64"],
    ],
  );
});

test("a pointer is sized by integers and a type of the line, or measured by a descriptor", () => {
  const { functions } = readLibrary(
    spec({ f: "plan p, dataType t, i64 n, pointer a of n t, pointer b of n, pointer c of p.input by setC, unread d" }),
  );
  const all = functions[0]!.arguments;
  expect(all.map(({ size, of, measure, by }) => [size?.element, of, measure, by])).toEqual([
    ...Array.from({ length: 3 }, () => [undefined, undefined, undefined, undefined]),
    [{ place: 1 }, undefined, undefined, undefined],
    [undefined, undefined, undefined, undefined],
    [undefined, 0, "input", "setC"],
    [undefined, undefined, undefined, undefined],
  ]);
  expect(all[4]!.size).toEqual({ count: { name: "n" }, element: undefined });
});

test.each([
  ["a kind that there is not", "shape s"],
  ["a size by something that is no integer", "f32 x, pointer a of x"],
  ["a size by nothing", "pointer a of n"],
  ["an element that is no type", "i32 n, pointer a of n n"],
  ["a part that nothing has", "plan p, pointer a of p.output"],
  ["an array of no length", "ints a"],
  ["a work area whose size nothing tells", "i32 n, pointer a of max(n,bufferSize)"],
  ["a work area on the host of no size", "hostWork a"],
  ["blanks within a size", "i32 n, pointer a of n + 1"],
])("a line with %s is none", (_, line) => {
  // Not before it is asked for: an executor starts without.
  const library = readLibrary(spec({ f: line }));
  expect(() => library.functions).toThrow(/cuSome's table|A size|Nothing tells/);
});

test("a function with work areas has the one that tells their sizes beside it", () => {
  const { functions } = readLibrary(
    spec({ f_bufferSize: "handle, i32 n, out i32 size", f: "handle, i32 n, pointer a of bufferSize f32" }),
  );
  expect(functions.map(({ workAreas }) => workAreas?.name)).toEqual([undefined, "f_bufferSize"]);
});
