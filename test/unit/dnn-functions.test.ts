/** The table of cuDNN's functions: what every line must keep to, since both ends are generated from it. */
import { expect, test } from "vitest";
import type { LibraryArgument } from "../../shared/library-functions.ts";
import { namesOf } from "../../shared/size-expression.ts";
import { dnnDescriptors, dnnFunctions } from "../support/dnn.ts";

/** The argument that says a pointer's size by itself, as all of cuDNN's that are not measured by descriptors. */
function sizedBy({ size }: LibraryArgument, all: readonly LibraryArgument[]): LibraryArgument | undefined {
  if (size === undefined) return undefined;
  const [name, ...others] = namesOf(size.count);
  expect([others, size.element]).toEqual([[], undefined]);
  return all.find((each) => each.name === name);
}

test("every kind of descriptor is made by a function of its own, and by no other", () => {
  const makers = dnnFunctions.filter(({ arguments: all }) => all.some(({ role }) => role === "new"));
  expect(makers.map(({ name, arguments: all }) => [name, all.map(({ descriptor }) => descriptor)])).toEqual(
    Object.entries(dnnDescriptors).map(([word, name]) => [`cudnnCreate${name}Descriptor`, [word]]),
  );
});

test("what says how much there is of something is a number, or describes what is measured so", () => {
  for (const { name, arguments: all } of dnnFunctions) {
    for (const [index, argument] of all.entries()) {
      const { kind, isResult, isOptional, of, measure, size } = argument;
      if (size !== undefined) {
        expect([kind, sizedBy(argument, all)?.kind], `${name} ${argument.name}`).toEqual(["pointer", "u64"]);
      }
      if (of === undefined) continue;
      const counted = all[of]!;
      const by = counted.descriptor ?? counted.kind;
      const where = `${name} ${argument.name}`;
      // Where what measures it may be absent, so may it.
      if (counted.isOptional) expect(isOptional, where).toBe(true);
      expect(counted.isResult, where).toBe(false);
      if (measure === "sum") expect([kind, by], where).toEqual(["ints", "ints"]);
      else if (measure === "sequences") {
        expect(["ints", "pointer"], where).toContain(kind);
        // The C client counts those of tensors.
        expect(kind === "ints" ? ["tensor"] : ["tensor", "rnnData"], where).toContain(by);
      } else if (measure !== undefined) expect([kind, by], where).toEqual(["pointer", "spatialTransformer"]);
      else if (kind === "pointer") expect(["tensor", "filter", "rnnData"], where).toContain(by);
      else if (kind === "value") expect(by, where).toBe("tensor");
      else expect([by, of < index, isResult || kind === "ints"], where).toEqual(["i32", true, true]);
    }
  }
});

test("a pointer is measured by the descriptor before it, and what is a grid, a transformation or lengths by just that", () => {
  const sized = ["tensor", "filter", "rnnData"];
  for (const { name, arguments: all } of dnnFunctions) {
    for (const [index, argument] of all.entries()) {
      const by = sizedBy(argument, all);
      if (by !== undefined) expect(Math.abs(all.indexOf(by) - index), `${name} ${argument.name}`).toBe(1);
      if (argument.kind !== "pointer" || argument.isResult || argument.of === undefined) continue;
      const where = `${name} ${argument.name}`;
      const word = /(theta|grid)$/i.exec(argument.name)?.[1];
      const isPerSequence = /lengths$|^costs$/i.test(argument.name);
      expect(argument.measure, where).toBe(isPerSequence ? "sequences" : word);
      if (argument.measure !== undefined) continue;
      const before = all.slice(0, index).findLast(({ descriptor }) => sized.includes(descriptor ?? ""));
      expect(all[argument.of], where).toBe(before);
    }
  }
});

test("the arguments of a function have names of their own", () => {
  for (const { name, arguments: all } of dnnFunctions) {
    expect(new Set(all.map((argument) => argument.name)).size, name).toBe(all.length);
  }
});
