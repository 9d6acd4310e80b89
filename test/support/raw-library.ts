/** The calls for functions of libraries as bytes, by hand after proto/README.md as all of `raw-frames.ts`. */
import { call } from "./raw-frames.ts";

interface RawCalling {
  readonly library?: number;
  readonly function?: number;
  readonly device?: number;
  readonly stream?: number;
  readonly arguments?: Uint8Array;
}

const calling = (opcode: number, fields: RawCalling): Buffer =>
  call(
    opcode,
    ["u32", fields.library ?? 0],
    ["u32", fields.function ?? 0],
    ["u32", fields.device ?? 0],
    ["u32", fields.stream ?? 0],
    ["bytes", fields.arguments ?? new Uint8Array(0)],
  );

export const rawLibrary = {
  open: (device = 0, library = 0) => call(48, ["u32", device], ["u32", library]),
  forget: (descriptor: number) => call(50, ["u32", descriptor]),
  call: (fields: RawCalling) => calling(54, fields),
  askCall: (fields: RawCalling) => calling(55, fields),
};
