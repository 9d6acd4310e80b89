/**
 * Arguments as careless programs in plain JavaScript give them, every value to every argument: a refusal is at once and in words that name the
 * argument, sends nothing, and costs nothing but itself.
 */
import { getEventListeners } from "node:events";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { DeviceBuffer } from "../../client/buffer.ts";
import type { Device } from "../../client/device.ts";
import type { Kernel, Module } from "../../client/module.ts";
import type { Recording } from "../../client/recording.ts";
import type { Stream } from "../../client/stream.ts";
import { SluiceError } from "../../shared/errors.ts";
import { type FakeGpu, openFakeGpu } from "../support/client-on-fake.ts";
import { kernelInfo } from "../support/fake-executor.ts";

const UNSIGNED = 1;
const FLOAT = 3;
const BYTES = 4;
const POINTER = 5;
const kernels = [
  {
    ...kernelInfo("k", [
      [UNSIGNED, 4],
      [FLOAT, 4],
      [POINTER, 8],
      [BYTES, 12],
    ]),
    sharedBytes: 1024,
  },
  kernelInfo("none", []),
];

const transferred = (): Uint8Array => {
  const bytes = new Uint8Array(8);
  structuredClone(bytes, { transfer: [bytes.buffer] });
  return bytes;
};
const words: Record<string, unknown> = {
  null: null,
  object: {},
  "object without prototype": Object.create(null),
  "object that cannot be text": {
    toString: () => {
      throw new Error("It has no words.");
    },
  },
  array: [],
  "array of null": [null],
  function: () => 1,
  symbol: Symbol("a symbol"),
  true: true,
  "empty text": "",
  text: "text",
  NaN: Number.NaN,
  negative: -1,
  fraction: 0.5,
  infinity: Number.POSITIVE_INFINITY,
  "2^53": 2 ** 53,
  bigint: 1n,
  "large bigint": 2n ** 70n,
  "transferred array": transferred(),
  date: new Date(0),
  promise: Promise.resolve(1),
};

let fake: FakeGpu;
let gpu: Device;
let module: Module;
let kernel: Kernel;
let buffer: DeviceBuffer;
let target: DeviceBuffer;
let stream: Stream;
let recording: Recording;

beforeAll(async () => {
  fake = await openFakeGpu({ kernels });
  gpu = fake.gpu;
  module = await gpu.load("// any");
  kernel = module.kernel("k");
  buffer = gpu.alloc(4096);
  target = gpu.alloc(4096);
  stream = gpu.stream();
  recording = gpu.record({ rate: 2, memory: buffer }, ({ rate, memory }) =>
    kernel.launch(once, [1, rate, memory, struct]),
  );
  await gpu.synchronize();
});
afterAll(() => fake.close());

const once = { grid: 1, block: 1 };
const struct = new Uint8Array(12);
const bytes = new Uint8Array(8);
const texels = { width: 4, height: 4, format: "f32" };
const product = () => ({ m: 2, n: 2, k: 2, a: buffer, b: buffer, c: target });
const as = <T>(value: unknown): T => value as T;

/** What an argument may be after all, of the words above; and what every refusal says of it. */
interface Row {
  readonly call: (value: never) => unknown;
  readonly takes?: readonly string[];
  readonly says: RegExp;
}

/** An object with options: one without any is no mistake, nor is another object that has none. */
const optionsOf = (what: string, call: (value: never) => unknown): Row => ({
  call,
  takes: ["object", "object without prototype", "transferred array", "date", "promise"],
  says: new RegExp(`(options of|of) ${what} (are \\[|is none of)`),
});
const option = (name: string, call: (value: never) => unknown, takes: readonly string[] = []): Row => ({
  call,
  takes,
  says: new RegExp(
    `option \\[${name}\\]|[^a-z]${name}[^a-z]${name === "offset" || name === "length" ? "|The range of" : ""}`,
    "i",
  ),
});
const optionsIn = <Name extends string>(
  names: Record<Name, readonly string[]>,
  call: (options: never) => unknown,
): Row[] =>
  (Object.entries(names) as [Name, readonly string[]][]).map(([name, takes]) =>
    option(name, (value) => call(as({ [name]: value })), takes),
  );

/** Reads, writes and their kin have these. */
const wait = { signal: [] };
const place = { offset: [], stream: [] };
const overlap = { overlap: ["true"] };

const rows: Record<string, () => Row[]> = {
  "gpu.load": () => [
    { call: (value) => gpu.load(value), takes: ["text"], says: /image/ },
    optionsOf("a load", (value) => gpu.load("x", value)),
    ...optionsIn({ ...wait, heap: [] }, (options) => gpu.load("x", options)),
  ],
  "gpu.compile": () => [
    { call: (value) => gpu.compile(value), takes: ["text"], says: /source/ },
    optionsOf("a compilation", (value) => gpu.compile("x", value)),
    ...optionsIn({ ...wait, heap: [], options: ["array"] }, (options) => gpu.compile("x", options)),
  ],
  "module.kernel": () => [{ call: (value) => module.kernel(value), says: /no kernel \[/ }],
  "kernel.launch": () => [
    {
      call: (value) => kernel.launch(value, [1, 2, buffer, struct]),
      says: /options of a launch are|option \[.*\] of a launch|the grid \[/,
    },
    { call: (value) => kernel.launch(once, value), says: /kernel \[k\] takes \[4\] arguments, and|argument \[0\]/ },
    { call: (value) => kernel.launch(once, [value, 2, buffer, struct]), takes: ["negative"], says: /argument \[0\]/ },
    {
      call: (value) => kernel.launch(once, [1, value, buffer, struct]),
      takes: ["NaN", "negative", "fraction", "infinity", "2^53"],
      says: /argument \[1\]/,
    },
    {
      call: (value) => kernel.launch(once, [1, 2, value, struct]),
      takes: ["negative", "bigint"],
      says: /argument \[2\]/,
    },
    { call: (value) => kernel.launch(once, [1, 2, buffer, value]), says: /argument \[3\]/ },
    option("grid", (value) => kernel.launch({ ...once, grid: value }, [1, 2, buffer, struct])),
    option("grid", (value) => kernel.launch({ ...once, grid: [1, value] }, [1, 2, buffer, struct])),
    option("grid", () => kernel.launch({ ...once, grid: as([1, 1, 1, 1]) }, [1, 2, buffer, struct])),
    option("block", (value) => kernel.launch({ ...once, block: value }, [1, 2, buffer, struct])),
    option("block", (value) => kernel.launch({ ...once, block: [1, 1, value] }, [1, 2, buffer, struct])),
    {
      call: (value) => kernel.launch({ ...once, sharedBytes: value }, [1, 2, buffer, struct]),
      takes: ["null"],
      says: /sharedBytes|bytes of shared memory/,
    },
    option("stream", (value) => kernel.launch({ ...once, stream: value }, [1, 2, buffer, struct])),
  ],
  "gpu.record": () => [
    { call: (value) => gpu.record(value, () => kernel.launch(once, [1, 2, buffer, struct])), ...recordingOf() },
    {
      call: (value) => gpu.record({}, value),

      says: /What is recorded|The recording holds no calls/,
    },
    {
      call: (value) => gpu.record({ rate: value }, () => kernel.launch(once, [1, 2, buffer, struct])),
      takes: ["NaN", "negative", "fraction", "infinity", "2^53", "bigint", "large bigint"],
      says: /parameter \[rate\]/,
    },
  ],
  "recording.replay": () => [
    {
      call: (value) => recording.replay(value),
      takes: ["object", "object without prototype", "transferred array", "date", "promise"],
      says: /values of a replay are|no parameter \[/,
    },
    {
      call: (value) => recording.replay({ rate: value }),
      takes: ["NaN", "negative", "fraction", "infinity", "2^53"],
      says: /parameter \[rate\]/,
    },
    { call: (value) => recording.replay({ memory: value }), says: /parameter \[memory\]/ },
  ],
  "gpu.multiply": () => [
    { call: (value) => gpu.multiply(value), says: /of a matrix product/ },
    ...["m", "n", "k", "a", "b", "c", "type", "bias", "activation", "lda", "ldc", "batchCount", "stream"].map((name) =>
      option(name, (value) => gpu.multiply({ ...product(), [name]: value })),
    ),
    option("transposeA", (value) => gpu.multiply({ ...product(), transposeA: value }), ["true"]),
    ...["alpha", "beta"].map((name) =>
      option(name, (value) => gpu.multiply({ ...product(), [name]: value }), [
        ...["NaN", "negative", "fraction", "infinity", "2^53"],
      ]),
    ),
    option("strideA", (value) => gpu.multiply({ ...product(), strideA: value }), ["2^53"].slice(1)),
  ],
  "gpu.texture": () => [
    { call: (value) => gpu.texture(value, as(texels)), says: /memory of texels/ },
    { call: (value) => gpu.texture(buffer, value), says: /of a texture|texels/i },
    ...["width", "height", "depth", "layers", "format", "channels", "filter", "signal"].map((name) =>
      option(name, (value) => gpu.texture(buffer, as({ ...texels, [name]: value }))),
    ),
    { call: (value) => gpu.texture(buffer, as({ ...texels, rowBytes: value })), says: /rowBytes|bytes apart/ },
    option("address", (value) => gpu.texture(buffer, as({ ...texels, address: value })), ["array", "array of null"]),
    option("border", (value) => gpu.texture(buffer, as({ ...texels, border: value })), ["array"]),
    option("border", (value) => gpu.texture(buffer, as({ ...texels, border: [value] })), [
      ...["NaN", "negative", "fraction", "infinity", "2^53"],
    ]),
    option("border", (value) => gpu.texture(buffer, as({ ...texels, format: "u8", border: [value] })), ["negative"]),
    ...["normalized", "fractions", "srgb", "cube"].map((name) =>
      option(name, (value) => gpu.texture(buffer, as({ ...texels, [name]: value })), ["true"]),
    ),
  ],
  "gpu.surface": () => [
    { call: (value) => gpu.surface(value, as(texels)), says: /memory of texels/ },
    { call: (value) => gpu.surface(buffer, value), says: /of a surface|texels/i },
    option("width", (value) => gpu.surface(buffer, as({ ...texels, width: value }))),
  ],
  "gpu.upload": () => [
    { call: (value) => gpu.upload(value), says: /The array of an upload is/ },
    optionsOf("an upload", (value) => gpu.upload(bytes, value)),
    ...optionsIn({ ...wait, stream: [], cached: ["true"] }, (options) => gpu.upload(bytes, options)),
    {
      call: (value) => gpu.upload(bytes, { cached: { from: value } }),
      says: /from which on an upload is cached|option \[from\]/,
    },
  ],
  "buffer.write": () => [
    { call: (value) => buffer.write(value), says: /The array of a write is/ },
    optionsOf("a write", (value) => buffer.write(bytes, value)),
    {
      call: () => buffer.write(bytes, as({ cached: true, overlap: true, stream })),
      says: /\[cached\], or may \[overlap\]/,
    },
    ...optionsIn({ ...wait, ...place, ...overlap, cached: ["true"] }, (options) => buffer.write(bytes, options)),
    option("signal", (value) => buffer.write(bytes, { overlap: true, stream, signal: value })),
  ],
  "buffer.read": () => [
    { call: (value) => buffer.read(value), says: /A read takes what makes its result/ },
    optionsOf("a read", (value) => buffer.read(Uint8Array, value)),
    ...optionsIn({ ...wait, ...place, ...overlap, length: [] }, (options) => buffer.read(Uint8Array, options)),
  ],
  "buffer.readInto": () => [
    { call: (value) => buffer.readInto(value), says: /What is read into/ },
    optionsOf("a read into memory", (value) => buffer.readInto(bytes, value)),
    ...optionsIn({ ...wait, ...place, ...overlap }, (options) => buffer.readInto(bytes, options)),
  ],
  "buffer.fill and gpu.fill": () => [
    optionsOf("a fill", (value) => buffer.fill(0, value)),
    ...optionsIn({ ...place, length: [] }, (options) => buffer.fill(0, options)),
    { call: (value) => buffer.fill(0, { as: value }), says: /option \[as\]|A fill sets elements of/ },
    optionsOf("a fill", (value) => gpu.fill(buffer.at(4), 0, value)),
    option("offset", (value) => gpu.fill(buffer.at(4), 0, { offset: value })),
  ],
  "gpu.copy, gpu.alloc and buffer.at": () => [
    optionsOf("a copy", (value) => gpu.copy(target, buffer, value)),
    { call: (value) => gpu.copy(target, buffer, { bytes: value }), says: /option \[bytes\]|The range of/ },
    option("stream", (value) => gpu.copy(target, buffer, { stream: value })),
    { call: (value) => gpu.alloc(value), says: /A buffer (has|of)/ },
    { call: (value) => buffer.at(value), says: /The range of/ },
  ],
  "streams and events": () => {
    const event = gpu.event();
    return [
      optionsOf("a stream", (value) => gpu.stream(value)),
      option("priority", (value) => gpu.stream({ priority: value }), ["negative"]),
      option("waitsForDefault", (value) => gpu.stream({ waitsForDefault: value }), ["true"]),
      optionsOf("an event", (value) => gpu.event(value)),
      option("timing", (value) => gpu.event({ timing: value }), ["true"]),
      { call: (value) => stream.wait(value), says: /not an event/ },
      { call: (value) => event.record(value), says: /not a stream/ },
      { call: (value) => event.elapsed(value), says: /not an event/ },
      optionsOf("a measure of time", (value) => event.elapsed(event, value)),
    ];
  },
  "what waits": () => {
    const event = gpu.event();
    const waits: readonly (readonly [string, (options: never) => Promise<unknown>])[] = [
      ["a synchronize", (options) => gpu.synchronize(options)],
      ["a synchronize", (options) => stream.synchronize(options)],
      ["a synchronize", (options) => event.synchronize(options)],
      ["a query", (options) => stream.query(options)],
      ["a query", (options) => event.query(options)],
      ["a flush", (options) => gpu.flush(options)],
      ["a stack", (options) => gpu.setStackSize("1KiB", options)],
    ];
    return waits.flatMap(([what, call]) => [optionsOf(what, call), option("signal", (signal) => call(as({ signal })))]);
  },
};

function recordingOf(): Pick<Row, "takes" | "says"> {
  return {
    takes: ["object", "object without prototype", "transferred array", "date", "promise"],
    says: /parameters of a recording are|parameter \[toString\]/,
  };
}

async function outcomeOf(work: () => unknown): Promise<unknown> {
  try {
    await work();
    return undefined;
  } catch (error) {
    return error;
  }
}

describe("any value for any argument of", () => {
  it.each(Object.keys(rows))(
    "%s is taken as it is documented or refused in words, and nothing is sent",
    async (name) => {
      for (const { call, takes = [], says } of rows[name]!()) {
        for (const [word, value] of Object.entries(words)) {
          await gpu.synchronize();
          const { calls } = fake.session;
          const outcome = await outcomeOf(() => call(value as never));
          const which = `${call} <- ${word}`;
          if (takes.includes(word)) {
            expect(outcome, which).toBeUndefined();
            continue;
          }
          expect(outcome, which).toBeInstanceOf(SluiceError);
          const { code, message } = outcome as SluiceError;
          expect(code, which).toMatch(/^(BAD_[A-Z_]+|NO_SUCH_KERNEL|OUT_OF_MEMORY)$/);
          expect(message, which).toMatch(says);
          expect(fake.session.calls, which).toBe(calls);
        }
      }
      await gpu.synchronize();
      expect(fake.failures).toEqual([]);
    },
  );
});

describe("a wait that is called off", () => {
  const waits: Record<string, (signal: AbortSignal) => Promise<unknown>> = {
    load: (signal) => gpu.load("// any", { signal }),
    "load of a large image": (signal) => gpu.load(new Uint8Array(100_000).fill(65), { signal }),
    compile: (signal) => gpu.compile("int x;", { signal }),
    texture: (signal) => gpu.texture(buffer, { ...texels, format: "f32", signal }),
    surface: (signal) => gpu.surface(buffer, { ...texels, format: "f32", signal }),
    setStackSize: (signal) => gpu.setStackSize("1KiB", { signal }),
    read: (signal) => buffer.read(Uint8Array, { signal }),
    "read by pieces": (signal) => buffer.read(Uint8Array, { signal, stream, overlap: true }),
    readInto: (signal) => buffer.readInto(bytes, { signal }),
    "cached write": (signal) => buffer.write(bytes, { cached: { from: 1 }, signal }),
    "cached upload": (signal) => gpu.upload(bytes, { cached: { from: 1 }, signal }),
    "synchronize of a device": (signal) => gpu.synchronize({ signal }),
    "synchronize of a stream": (signal) => stream.synchronize({ signal }),
    "query of a stream": (signal) => stream.query({ signal }),
    "measure of time": (signal) => {
      const [start, end] = [gpu.event(), gpu.event()];
      return start.elapsed(end, { signal });
    },
  };
  /** What has been made at the server, and not ended. */
  const left = (): Record<string, number> => {
    const names = fake.executor.names();
    const count = (name: string): number => names.filter((each) => each === name).length;
    return {
      modules: fake.executor.modules,
      textures: count("textureCreate") - count("textureDestroy"),
      surfaces: count("surfaceCreate") - count("surfaceDestroy"),
      buffers: count("allocate") - count("free"),
    };
  };

  it.each(Object.keys(waits))("and one that is not: no listener stays on the signal: %s", async (name) => {
    const { signal } = new AbortController();
    gpu.fill(buffer, 0);
    await waits[name]!(signal);
    await new Promise(setImmediate);
    expect(getEventListeners(signal, "abort")).toEqual([]);
  });

  it.each(Object.keys(waits))("before it begins sends nothing: %s", async (name) => {
    for (const _work of [1, 2]) {
      gpu.fill(buffer, 0);
      await gpu.flush();
      const reason = new Error("No more.");
      const signal = AbortSignal.abort(reason);
      const before = fake.executor.calls.length;
      expect(await outcomeOf(() => waits[name]!(signal))).toMatchObject({ code: "CANCELLED", cause: reason });
      await gpu.synchronize();
      const sent = fake.executor.names().slice(before);
      expect(sent.filter((call) => !/^(fill|allocate|free|eventCreate|deviceSynchronize)$/.test(call))).toEqual([]);
    }
  });

  it.each(Object.keys(waits))("ends at once, hears the signal no more, and leaves nothing behind: %s", async (name) => {
    gpu.fill(buffer, 0);
    await gpu.synchronize();
    const before = left();
    const { freeBytes } = gpu.memoryInfo();
    gpu.fill(buffer, 0);
    fake.executor.holding = true;
    const controller = new AbortController();
    const reason = new Error("No more.");
    const outcome = outcomeOf(() => waits[name]!(controller.signal));
    await gpu.flush();
    controller.abort(reason);
    expect(await outcome).toMatchObject({ code: "CANCELLED", cause: reason });
    fake.executor.answerHeld();
    await gpu.synchronize();
    await gpu.synchronize();
    expect(getEventListeners(controller.signal, "abort")).toEqual([]);
    expect(left()).toEqual(before);
    expect(gpu.memoryInfo().freeBytes).toBe(freeBytes);
    expect(fake.failures).toEqual([]);
  });
});

it("a cached write that is too small for the cache hears its signal too", async () => {
  const write = () => buffer.write(bytes, { cached: true, signal: AbortSignal.abort() });
  expect(await outcomeOf(write)).toMatchObject({ code: "CANCELLED" });
});

it("a stack that is set when nobody waits for it any more keeps what it has taken of the slice", async () => {
  const { freeBytes } = gpu.memoryInfo();
  fake.executor.holding = true;
  const controller = new AbortController();
  const outcome = outcomeOf(() => gpu.setStackSize("1KiB", { signal: controller.signal }));
  controller.abort();
  expect(await outcome).toMatchObject({ code: "CANCELLED" });
  expect(() => gpu.alloc(freeBytes)).toThrow("until a program is loaded or a stack set");
  fake.executor.answerHeld();
  await gpu.synchronize();
  gpu.alloc(freeBytes).free();
});

it("a parameter of a recording may have a name that every object knows", async () => {
  const step = gpu.record({ toString: 2, constructor: buffer }, (given) =>
    kernel.launch(once, [1, given.toString, given.constructor, struct]),
  );
  step.replay();
  step.replay(as({ toString: 3 }));
  await gpu.synchronize();
  expect(fake.failures).toEqual([]);
});
