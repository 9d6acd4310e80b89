/**
 * An image that is several: what a program hands to the linker, in one piece, so that it travels and is kept like any other. Its layout is in
 * proto/README.md, "Images"; the interposer writes it (client/interposer/core/link-image.c), devices read it.
 */
import { SluiceError } from "../../shared/errors.ts";

/** Kinds of input, numbered as CUjitInputType. */
export const LinkKind = { CUBIN: 0, PTX: 1, FATBIN: 2, OBJECT: 3, LIBRARY: 4 } as const;
export type LinkKind = (typeof LinkKind)[keyof typeof LinkKind];

export interface LinkInput {
  readonly kind: LinkKind;
  readonly data: Uint8Array;
}

/** `SLUICELK` as two little-endian words. */
const MAGIC = [0x49554c53, 0x4b4c4543] as const;
const HEADER_BYTES = 16;
const INPUT_HEADER_BYTES = 8;
/** nvcc's largest programs have hundreds of objects. */
const LINK_INPUTS_MAX = 4096;

const padded = (byteCount: number): number => Math.ceil(byteCount / 8) * 8;

/** The inputs of an image, which are views of it; undefined when it is a single one. Throws BAD_IMAGE when it is cut short or has no input. */
export function readLinkImage(image: Uint8Array): LinkInput[] | undefined {
  if (image.length < HEADER_BYTES) return undefined;
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  if (view.getUint32(0, true) !== MAGIC[0] || view.getUint32(4, true) !== MAGIC[1]) return undefined;
  const [byteCount, count] = [view.getUint32(8, true), view.getUint32(12, true)];
  if (byteCount !== image.length || count === 0 || count > LINK_INPUTS_MAX) throw broken();
  const inputs: LinkInput[] = [];
  let at = HEADER_BYTES;
  for (let index = 0; index < count; index++) {
    if (at + INPUT_HEADER_BYTES > image.length) throw broken();
    const [kind, size] = [view.getUint32(at, true), view.getUint32(at + 4, true)];
    at += INPUT_HEADER_BYTES;
    if (kind > LinkKind.LIBRARY || padded(size) > image.length - at) throw broken();
    inputs.push({ kind: kind as LinkKind, data: image.subarray(at, at + size) });
    at += padded(size);
  }
  if (at !== image.length) throw broken();
  return inputs;
}

const broken = (): SluiceError =>
  new SluiceError("BAD_IMAGE", "The image of several inputs is cut short or malformed.");
