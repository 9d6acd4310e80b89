/**
 * Linking on the device: several inputs, handed to the driver's linker, become one image. What the linker says against them becomes the
 * error's message.
 */
import { type LinkInput, LinkKind } from "../link-image.ts";
import { CUresult, JitOption } from "./constants.ts";
import type { CudaContext } from "./context.ts";
import { imageFormat } from "./image.ts";
import { addressOf, bytesAt } from "./symbols.ts";

const LINK_LOG_BYTES = 16 * 1024;

/** Buffers that the driver writes its complaints to, with the options that name them. */
export function errorLog(byteCount: number) {
  const log = Buffer.alloc(byteCount);
  return {
    options: Int32Array.of(JitOption.ERROR_LOG_BUFFER, JitOption.ERROR_LOG_BUFFER_SIZE_BYTES),
    values: BigUint64Array.of(addressOf(log), BigInt(byteCount)),
    /** What was said, in one line. */
    text: (): string => log.toString("utf8").split("\0")[0]!.replace(/\s+/g, " ").trim(),
  };
}

/** The driver reads text up to a NUL, which what came over the wire need not have. */
export const terminated = (text: Uint8Array): Buffer => Buffer.concat([text, Buffer.of(0)]);

/**
 * Links `inputs` and passes the image to `use`; it is the driver's memory and gone afterwards.
 * @throws SluiceError BAD_IMAGE with the linker's log.
 */
export function withLinkedImage<T>(
  context: CudaContext,
  inputs: readonly LinkInput[],
  options: { use: (image: Uint8Array) => T; fail: (result: number, said: string) => never },
): T {
  const { api } = context;
  const log = errorLog(LINK_LOG_BYTES);
  const state = new BigUint64Array(1);
  const check = (result: number): void => {
    if (result !== CUresult.SUCCESS) options.fail(result, log.text());
  };
  check(api.cuLinkCreate_v2(log.options.length, log.options, log.values, state));
  try {
    for (const { kind, data } of inputs) {
      // The driver reads binary images as far as their own headers say; archives by the size that it is told.
      if (kind !== LinkKind.LIBRARY) imageFormat(data);
      const bytes = kind === LinkKind.PTX ? terminated(data) : data;
      check(api.cuLinkAddData_v2(state[0]!, kind, bytes, bytes.byteLength, "input", 0, null, null));
    }
    const image = new BigUint64Array(2);
    check(api.cuLinkComplete(state[0]!, image.subarray(0, 1), image.subarray(1)));
    return options.use(bytesAt(Number(image[0]), Number(image[1])));
  } finally {
    api.cuLinkDestroy(state[0]!);
  }
}
