/** Handles that are never used twice, and images that are put together only in order. */
import { expect, test } from "vitest";
import { HandleTable } from "../../server/executor/handle-table.ts";
import { ImageTable } from "../../server/executor/image-table.ts";
import { HANDLES_MAX, IMAGE_BYTES_MAX, IMAGES_MAX } from "../../shared/limits.ts";

const failure = (code: string) => expect.objectContaining({ code });

test("a handle lives from its creation to its removal, and its number is gone for ever", () => {
  const table = new HandleTable<string>("thing");
  expect(() => table.get(5)).toThrow(failure("NO_SUCH_HANDLE"));
  table.claim(5);
  table.set(5, "five");
  expect(table.get(5)).toBe("five");
  expect(table.remove(5)).toBe("five");
  expect(() => table.remove(5)).toThrow(failure("NO_SUCH_HANDLE"));
  expect(() => table.claim(5)).toThrow(failure("HANDLE_IN_USE"));
  expect(() => table.claim(4)).toThrow(failure("HANDLE_IN_USE"));
  expect(() => table.claim(0)).toThrow(failure("HANDLE_IN_USE"));
  table.claim(2 ** 32 - 1);
});

test("a claimed handle whose creation failed does not exist", () => {
  const table = new HandleTable<string>("thing");
  table.claim(1);
  expect(() => table.get(1)).toThrow(/\[1\] is destroyed or failed/);
  expect(() => table.get(2)).toThrow(/\[2\] is never created/);
});

test("the number of live handles is bounded", () => {
  const table = new HandleTable<number>("thing");
  for (let handle = 1; handle <= HANDLES_MAX; handle++) {
    table.claim(handle);
    table.set(handle, handle);
  }
  expect(() => table.claim(HANDLES_MAX + 1)).toThrow(failure("TOO_MANY_HANDLES"));
  table.remove(1);
  table.claim(HANDLES_MAX + 2);
});

const piece = (image: number, options: { total: number; offset: number; data: string }) => ({
  image,
  totalBytes: options.total,
  offset: options.offset,
  data: new TextEncoder().encode(options.data),
});

test("pieces in order make an image, which is taken once", () => {
  const images = new ImageTable();
  images.write(piece(1, { total: 6, offset: 0, data: "abc" }));
  images.write(piece(1, { total: 6, offset: 3, data: "def" }));
  expect(new TextDecoder().decode(images.take(1))).toBe("abcdef");
  expect(() => images.take(1)).toThrow(failure("NO_SUCH_HANDLE"));
});

test.each([
  ["out of order", { total: 6, offset: 4, data: "ef" }],
  ["over what was written", { total: 6, offset: 2, data: "cd" }],
  ["past the end", { total: 6, offset: 3, data: "defg" }],
  ["with another total", { total: 7, offset: 3, data: "d" }],
])("a piece %s is refused", (_, options) => {
  const images = new ImageTable();
  images.write(piece(1, { total: 6, offset: 0, data: "abc" }));
  expect(() => images.write(piece(1, options))).toThrow(failure("BAD_ARGUMENT"));
});

test("an incomplete image is dropped when it is taken", () => {
  const images = new ImageTable();
  images.write(piece(1, { total: 6, offset: 0, data: "abc" }));
  expect(() => images.take(1)).toThrow(failure("BAD_IMAGE"));
  expect(() => images.take(1)).toThrow(failure("NO_SUCH_HANDLE"));
});

test("images are bounded in number and in bytes together, and taking one makes room", () => {
  const images = new ImageTable();
  for (let image = 1; image <= IMAGES_MAX; image++) images.write(piece(image, { total: 1, offset: 0, data: "x" }));
  expect(() => images.write(piece(50, { total: 1, offset: 0, data: "x" }))).toThrow(failure("IMAGE_TOO_LARGE"));
  images.take(1);
  images.write(piece(51, { total: 1, offset: 0, data: "x" }));
  images.take(51);
  expect(() => images.write(piece(52, { total: IMAGE_BYTES_MAX, offset: 0, data: "x" }))).toThrow(
    failure("IMAGE_TOO_LARGE"),
  );
});
