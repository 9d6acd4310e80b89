/**
 * Program images as they come from a tenant: which of the three formats one has, and whether it is all there, since the driver reads
 * binary images as far as their own headers say.
 */
import { SluiceError } from "../../../shared/errors.ts";

export type ImageFormat = "ptx" | "cubin" | "fatbin";

const ELF_MAGIC = 0x464c_457f;
const FATBIN_MAGIC = 0xba55_ed50;

const truncated = (format: string, sizes: { wanted: number; actual: number }): SluiceError =>
  new SluiceError(
    "BAD_IMAGE",
    `The ${format} image has [${sizes.actual}] bytes, and its headers speak of [${sizes.wanted}].`,
  );

/** The end of a 64-bit ELF file's tables and sections, as its headers say. */
function elfEnd(view: DataView): number {
  if (view.byteLength < 64) return 64;
  const tables: [offset: number, entryBytes: number, count: number][] = [
    [Number(view.getBigUint64(32, true)), view.getUint16(54, true), view.getUint16(56, true)],
    [Number(view.getBigUint64(40, true)), view.getUint16(58, true), view.getUint16(60, true)],
  ];
  let end = 64;
  for (const [offset, entryBytes, count] of tables) end = Math.max(end, offset + entryBytes * count);
  if (end > view.byteLength) return end;
  const [offset, entryBytes, count] = tables[1]!;
  for (let index = 0; index < count && entryBytes >= 64; index++) {
    const section = offset + index * entryBytes;
    const SHT_NOBITS = 8;
    if (view.getUint32(section + 4, true) === SHT_NOBITS) continue;
    end = Math.max(end, Number(view.getBigUint64(section + 24, true)) + Number(view.getBigUint64(section + 32, true)));
  }
  return end;
}

/**
 * The format of an image.
 * @throws SluiceError BAD_IMAGE when it is none of the three, or cut short.
 */
export function imageFormat(image: Uint8Array): ImageFormat {
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  const magic = image.byteLength >= 4 ? view.getUint32(0, true) : 0;
  if (magic === ELF_MAGIC) {
    const wanted = elfEnd(view);
    if (wanted > image.byteLength) throw truncated("cubin", { wanted, actual: image.byteLength });
    return "cubin";
  }
  if (magic === FATBIN_MAGIC) {
    // fatBinaryHeader: magic, version (16 bit), header size (16 bit), size of what follows (64 bit).
    const wanted = image.byteLength < 16 ? 16 : view.getUint16(6, true) + Number(view.getBigUint64(8, true));
    if (wanted > image.byteLength) throw truncated("fatbin", { wanted, actual: image.byteLength });
    return "fatbin";
  }
  if (Buffer.from(image.buffer, image.byteOffset, image.byteLength).includes(".version")) return "ptx";
  throw new SluiceError("BAD_IMAGE", "The image is neither PTX text nor a cubin nor a fatbin.");
}
