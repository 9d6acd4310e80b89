/** The table of cuDNN's functions: what every line must keep to, since both ends are generated from it. */
import { expect, test } from "vitest";
import { dnnDescriptors, dnnFunctions } from "../../shared/dnn-functions.ts";

test("every kind of descriptor is made by a function of its own, and by no other", () => {
  const makers = dnnFunctions.filter(({ arguments: all }) => all.some(({ role }) => role === "new"));
  expect(makers.map(({ name, arguments: all }) => [name, all.map(({ descriptor }) => descriptor)])).toEqual(
    Object.entries(dnnDescriptors).map(([word, name]) => [`cudnnCreate${name}Descriptor`, [word]]),
  );
});

test("what says how much there is of something is a number, or describes a tensor", () => {
  for (const { name, arguments: all } of dnnFunctions) {
    for (const [index, argument] of all.entries()) {
      if (argument.of === undefined) continue;
      const counted = all[argument.of]!;
      if (argument.kind === "ints") {
        expect([counted.kind, counted.isResult, argument.of < index], name).toEqual(["i32", false, true]);
      } else {
        expect(argument.kind, name).toBe("pointer");
        expect(counted.kind === "u64" || counted.descriptor === "tensor", `${name} ${argument.name}`).toBe(true);
        // Where a tensor may be absent, so may what it describes.
        if (counted.isOptional) expect(argument.isOptional, `${name} ${argument.name}`).toBe(true);
      }
    }
  }
});

test("the arguments of a function have names of their own", () => {
  for (const { name, arguments: all } of dnnFunctions) {
    expect(new Set(all.map((argument) => argument.name)).size, name).toBe(all.length);
  }
});
