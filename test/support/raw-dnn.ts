/** The calls for graphs of cuDNN as bytes, and their answers, by hand after proto/README.md as all of `raw-frames.ts`. */
import { body, call, type RawField } from "./raw-frames.ts";

const NOTHING = new Uint8Array(0);

/** An attribute of a backend descriptor: its elements as they travel. */
export interface RawAttribute {
  readonly name: number;
  readonly type: number;
  readonly count: number;
  readonly data: Uint8Array;
}

export interface RawExecution {
  readonly opcode?: number;
  readonly stream?: number;
  readonly workspace?: number | bigint;
  readonly uids?: readonly bigint[];
  readonly addresses?: readonly (number | bigint)[];
  readonly values?: Uint8Array;
}

const words = (values: readonly (number | bigint)[]): Buffer =>
  Buffer.from(BigUint64Array.from(values, (value) => BigInt.asUintN(64, BigInt(value))).buffer);

export const rawDnn = {
  describe: (
    descriptor: number,
    { device = 0, type, attributes = [] }: { device?: number; type: number; attributes?: readonly RawAttribute[] },
  ) =>
    call(
      49,
      ["u32", descriptor],
      ["u32", device],
      ["u32", type],
      [
        "list",
        attributes.map(({ name, type: kind, count, data }) =>
          body(["u32", name], ["u32", kind], ["u32", count], ["bytes", data]),
        ),
      ],
    ),
  ask: (
    descriptor: number,
    { name = 0, type = 3, count = 1, into = [] as readonly number[], intoType = 0 }: Partial<RawQuestion> = {},
  ) =>
    call(
      51,
      ...[descriptor, name, type, count].map((value): RawField => ["u32", value]),
      ["bytes", new Uint8Array(Uint32Array.from(into).buffer)],
      ["u32", intoType],
    ),
  /** `opcode` 53 tries it. */
  execute: (
    plan: number,
    { opcode = 52, stream = 0, workspace = 0, uids = [], addresses = [], values = NOTHING }: RawExecution = {},
  ) =>
    call(
      opcode,
      ["u32", plan],
      ["u32", stream],
      ["u64", workspace],
      ["bytes", words(uids)],
      ["bytes", words(addresses)],
      ["bytes", values],
    ),
};

export interface RawQuestion {
  readonly name: number;
  readonly type: number;
  readonly count: number;
  readonly into: readonly number[];
  readonly intoType: number;
}
