/** How long descriptors of cuDNN live, and how many there may be, whatever a client does with them. */
import { expect, test } from "vitest";
import { CudaDescriptor, DescriptorStore, REFERENCES_MAX } from "../../server/device/cuda/library-descriptors.ts";
import { HANDLES_MAX } from "../../shared/limits.ts";

function stand() {
  const ended: number[] = [];
  const store = new DescriptorStore("cuDNN", ({ handle }) => ended.push(handle));
  let handle = 0;
  const add = (...parts: CudaDescriptor[]): CudaDescriptor => {
    const made = new CudaDescriptor(++handle, 17);
    store.makeRoom();
    store.add(made);
    store.refer(made, parts);
    return made;
  };
  return { store, ended, add };
}

const tooMany = expect.objectContaining({ code: "TOO_MANY_HANDLES" });

test("a descriptor ends when it is forgotten and nobody refers to it any more, those that refer first", () => {
  const { store, ended, add } = stand();
  const [first, second] = [add(), add()];
  const third = add(first, second, second);
  const fourth = add(third);
  for (const each of [second, third, first]) store.forget(each);
  expect(ended).toEqual([]);
  store.forget(fourth);
  expect(ended.slice(0, 2)).toEqual([4, 3]);
  expect(ended.sort()).toEqual([1, 2, 3, 4]);
});

test("what is set anew lets go of what it referred to", () => {
  const { store, ended, add } = stand();
  const [first, second, user] = [add(), add(), add()];
  store.refer(user, [first]);
  for (const each of [first, second]) store.forget(each);
  expect(ended).toEqual([2]);
  store.refer(user, [user]);
  expect(ended).toEqual([2, 1]);
  store.forget(user);
  expect(ended).toEqual([2, 1, 3]);
});

test("a chain of any length ends at once", () => {
  const { store, ended, add } = stand();
  let last = add();
  for (let count = 1; count < HANDLES_MAX; count++) {
    const next = add(last);
    store.forget(last);
    last = next;
  }
  store.forget(last);
  expect(ended.length).toBe(HANDLES_MAX);
});

test("descriptors that refer to each other and are forgotten still count", () => {
  const { store, ended, add } = stand();
  const pairs = () => {
    for (;;) {
      const [first, second] = [add(), add()];
      store.refer(first, [second]);
      store.refer(second, [first]);
      for (const each of [first, second]) store.forget(each);
    }
  };
  expect(pairs).toThrow(tooMany);
  expect(ended).toEqual([]);
  store.close();
  expect(ended.length).toBe(HANDLES_MAX);
});

test("references are bounded, and come back", () => {
  const { store, add } = stand();
  const parts = Array.from({ length: 4096 }, () => add());
  const users = Array.from({ length: REFERENCES_MAX / 4096 }, () => add(...parts));
  const one = add();
  expect(() => store.refer(one, [parts[0]!])).toThrow(tooMany);
  store.forget(users.pop()!);
  store.refer(one, parts);
  const plan = { tensors: new Map([[1n, { byteCount: 1, isByValue: false }]]), workspaceBytes: 0, hasRun: false };
  expect(() => store.setPlan(one, plan)).toThrow(tooMany);
});
