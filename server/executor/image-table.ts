/**
 * Program images on their way: put together from the pieces of `imageWrite`, in order, and taken by `moduleLoad`.
 * Bounded in number and in bytes for the whole session, since the client alone decides when to load them.
 */
import { SluiceError } from "../../shared/errors.ts";
import type { ImageWriteCall } from "../../shared/generated/calls.ts";
import { CALL_DATA_BYTES_MAX, IMAGE_BYTES_MAX, IMAGES_MAX } from "../../shared/limits.ts";
import { HandleTable } from "./handle-table.ts";

interface Image {
  readonly bytes: Uint8Array<ArrayBuffer>;
  written: number;
}

export class ImageTable {
  readonly #images = new HandleTable<Image>("image");
  #count = 0;
  #byteCount = 0;

  /** @throws SluiceError BAD_ARGUMENT, IMAGE_TOO_LARGE, HANDLE_IN_USE, NO_SUCH_HANDLE */
  write(call: ImageWriteCall): void {
    if (call.data.byteLength > CALL_DATA_BYTES_MAX) {
      throw new SluiceError("BAD_ARGUMENT", `A piece of an image has [${call.data.byteLength}] bytes.`);
    }
    const image = call.offset === 0 ? this.#create(call) : this.#images.get(call.image);
    const end = call.offset + call.data.byteLength;
    if (call.offset !== image.written || end > image.bytes.byteLength || call.totalBytes !== image.bytes.byteLength) {
      throw new SluiceError(
        "BAD_ARGUMENT",
        `A piece at [${call.offset}] to [${end}] of [${call.totalBytes}] bytes does not continue the image [${call.image}], which has [${image.written}] of [${image.bytes.byteLength}] bytes.`,
      );
    }
    image.bytes.set(call.data, call.offset);
    image.written = end;
  }

  /** The complete image, which leaves the table whatever comes of it; throws NO_SUCH_HANDLE, BAD_IMAGE. */
  take(handle: number): Uint8Array<ArrayBuffer> {
    const image = this.#images.remove(handle);
    this.#count--;
    this.#byteCount -= image.bytes.byteLength;
    if (image.written < image.bytes.byteLength) {
      throw new SluiceError(
        "BAD_IMAGE",
        `The image [${handle}] has [${image.written}] of its [${image.bytes.byteLength}] bytes.`,
      );
    }
    return image.bytes;
  }

  #create(call: ImageWriteCall): Image {
    this.#images.claim(call.image);
    if (call.totalBytes === 0) throw new SluiceError("BAD_ARGUMENT", `The image [${call.image}] has no bytes.`);
    if (this.#count >= IMAGES_MAX || this.#byteCount + call.totalBytes > IMAGE_BYTES_MAX) {
      throw new SluiceError(
        "IMAGE_TOO_LARGE",
        `The image [${call.image}] of [${call.totalBytes}] bytes does not fit: at most [${IMAGES_MAX}] images of [${IMAGE_BYTES_MAX}] bytes together may wait to be loaded.`,
      );
    }
    const image = { bytes: new Uint8Array(call.totalBytes), written: 0 };
    this.#images.set(call.image, image);
    this.#count++;
    this.#byteCount += call.totalBytes;
    return image;
  }
}
