/** The library on the cpu device: real kernels, and what a program sees when one of them misbehaves. */
import { readFileSync } from "node:fs";
import { connect, type Device, type Lease, type Pool, SluiceError } from "sluice";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { failureOf } from "../support/failures.ts";
import { startServer, type TestServer } from "../support/server.ts";

const ptx = (name: string): string => readFileSync(`test/kernels/ptx/${name}.ptx`, "utf8");
const single = { grid: 1, block: 1 };

let server: TestServer;
let pool: Pool;
/** Of the tests that leave it whole, and the bystander of the others. */
let lease: Lease;
let gpu: Device;
let printed = "";

beforeAll(async () => {
  server = await startServer({ args: ["--device", "cpu:1x1GiB", "--kernel-timeout", "1s"] });
  pool = await connect({ server: server.grpc, lease: "" });
  lease = await quarter((text) => {
    printed += text;
  });
  [gpu] = lease.devices;
});
afterAll(async () => {
  await lease.release();
  expect((await pool.leases()).leases).toEqual([]);
  await pool.close();
  await server.stop();
});

const quarter = (onOutput?: (text: string) => void): Promise<Lease> =>
  pool.allocate({ fraction: 0.25, wait: "30s", ...(onOutput === undefined ? {} : { onOutput }) });

describe("on the cpu device", () => {
  it("the example of the documentation computes", async () => {
    const n = 10_007;
    const saxpy = (await gpu.load(ptx("linear"))).kernel("saxpy");
    const x = gpu.upload(Float32Array.from({ length: n }, (_unused, index) => index));
    const y = gpu.upload(new Float32Array(n).fill(1));
    const trips = lease.stats.roundTrips;
    saxpy.launch({ grid: Math.ceil(n / 256), block: 256 }, [n, 2, x, y]);
    const result = await y.read(Float32Array);
    expect(lease.stats.roundTrips - trips).toBe(1);
    expect(result.findIndex((value, index) => value !== 2 * index + 1)).toBe(-1);
  });

  it("textures and surfaces over buffers are arguments of kernels", async () => {
    const module = await gpu.load(`.version 8.0
      .target sm_75
      .address_size 64
      .visible .entry k(.param .u64 t, .param .u64 s, .param .u64 line, .param .u64 out) {
        .reg .b32 %r<12>; .reg .f32 %f<12>; .reg .b64 %d<8>;
        ld.param.u64 %d0, [t]; ld.param.u64 %d1, [s]; ld.param.u64 %d2, [line]; ld.param.u64 %d3, [out];
        mov.u32 %r0, %tid.x; mov.u32 %r1, 1; shl.b32 %r2, %r0, 2; cvt.rn.f32.u32 %f0, %r0; mov.f32 %f1, 0f3F800000;
        tex.2d.v4.f32.f32 {%f2, %f3, %f4, %f5}, [%d0, {%f0, %f1}];
        tex.1d.v4.s32.s32 {%r4, %r5, %r6, %r7}, [%d2, {%r0}];
        sust.b.2d.b32.trap [%d1, {%r2, %r1}], %r4;
        mul.wide.u32 %d4, %r0, 8; add.s64 %d3, %d3, %d4; st.global.v2.f32 [%d3], {%f2, %f5};
        ret;
      }`);
    const kernel = module.kernel("k");
    const width = 4;
    const pixels = gpu.upload(Uint8Array.from({ length: 3 * 64 }, (_, index) => index));
    // Rows of four texels with a gap behind, from the second row on.
    const image = await gpu.texture(pixels.at(64), {
      width,
      height: 2,
      rowBytes: 64,
      format: "u8",
      channels: 4,
      fractions: true,
      filter: "linear",
      address: ["border", "clamp"],
      border: [1, 0, 0, 0.5],
    });
    const rows = gpu.upload(new Int32Array(2 * width));
    const surface = await gpu.surface(rows, { width, height: 2, format: "s32" });
    const line = await gpu.texture(gpu.upload(Int32Array.of(5, -6, 7)), { width: 3, format: "s32" });
    const out = gpu.alloc(width * 8);
    const args = [image, surface, line, out] as const;
    const step = gpu.record(() => kernel.launch({ grid: 1, block: width }, [...args]));
    step.replay();
    const found = await out.read(Float32Array);
    // Between both rows; at the left edge half of the border.
    const red = (x: number) => (64 + 64 / 2 + 4 * x) / 255;
    const between = [0.5 * (red(0) + 1), (red(0) + red(1)) / 2, (red(1) + red(2)) / 2, (red(2) + red(3)) / 2];
    for (const x of [0, 1, 2, 3]) expect(found[2 * x]).toBeCloseTo(between[x]!, 5);
    expect(found[1]).toBeCloseTo(0.5 * ((64 + 32 + 3) / 255 + 0.5), 5);
    expect([...(await rows.read(Int32Array))]).toEqual([0, 0, 0, 0, 5, -6, 7, 0]);
    image.destroy();
    image.destroy();
    expect(() => kernel.launch({ grid: 1, block: width }, [...args])).toThrow(
      "The kernel [k], argument [0], is a texture or surface that is destroyed.",
    );
    expect(() => step.replay()).toThrow(expect.objectContaining({ code: "CLOSED" }));
    using again = await gpu.texture(pixels, { width, height: 1, format: "u8" });
    expect(again.object).not.toBe(image.object);
  });

  it("a texture that cannot be is refused, and costs nothing", async () => {
    const buffer = gpu.alloc(1024);
    const wish = { width: 16, height: 16, format: "f32" } as const;
    for (const change of [
      { height: 17 },
      { width: -1 },
      { width: 2 ** 32 },
      { width: 2 ** 31, height: 2 ** 31, rowBytes: 2 ** 40 },
      { format: "f64" },
      { address: "around" },
      { filter: "cubic" },
      { border: [1, 2, 3, 4, 5] },
      { heigth: 3 },
      { channels: 3, width: 2 },
      { rowBytes: 63, height: 2 },
      { format: "u8", filter: "linear" },
      { srgb: true },
      { cube: true, layers: 5, height: 2, width: 2 },
    ]) {
      const error = await failureOf(gpu.texture(buffer, { ...wish, ...change } as typeof wish));
      expect(error.code, JSON.stringify(change)).toBe("BAD_ARGUMENT");
    }
    expect((await failureOf(gpu.surface(buffer.at(4), wish))).code).toBe("BAD_ARGUMENT");
    const texture = await gpu.texture(buffer, wish);
    buffer.free();
    expect((await failureOf(gpu.texture(buffer, wish))).code).toBe("CLOSED");
    await gpu.synchronize();
    texture.destroy();
    await gpu.synchronize();
  });

  it("matrix products are computed in the order of the calls, and CUDA C is refused with what to do instead", async () => {
    const [a, b, c] = [gpu.upload(Float32Array.of(1, 2, 3, 4)), gpu.upload(Float32Array.of(5, 6, 7, 8)), gpu.alloc(16)];
    gpu.multiply({ m: 2, n: 2, k: 2, a, b, c });
    gpu.multiply({ m: 2, n: 2, k: 2, a, b, c, transposeB: true, alpha: 2, beta: 1 });
    expect([...(await c.read(Float32Array))]).toEqual([19 + 34, 22 + 46, 43 + 78, 50 + 106]);
    const error = await failureOf(gpu.compile('extern "C" __global__ void k() {}'));
    expect(error.code).toBe("UNSUPPORTED");
    expect(error.message).toContain("load PTX instead");
    expect([...(await c.read(Float32Array, { length: 1 }))]).toEqual([53]);
  });

  it("matrix products have a bias and an activation, in f64, and with results of a wider type than the factors", async () => {
    const [a, b] = [Float64Array.of(1, 2 ** -40, -3, 4), Float64Array.of(1, 0, 0, 1)].map((values) =>
      gpu.upload(values),
    );
    const c = gpu.alloc(32);
    const product = { m: 2, n: 2, k: 2, a: a!, b: b!, c, type: "f64" } as const;
    gpu.multiply({
      ...product,
      alpha: 1 + 2 ** -30,
      bias: gpu.upload(Float64Array.of(9, 1, 0.5)).at(8),
      activation: "relu",
    });
    expect([...(await c.read(Float64Array))]).toEqual([2 + 2 ** -30, 0.5 + 2 ** -40 + 2 ** -70, 0, 4.5 + 2 ** -28]);
    const gelu = (x: number): number => (x / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
    // 1, 2 and -1 as bf16.
    const halves = gpu.upload(Uint16Array.of(0x3f80, 0x4000, 0xbf80, 0x3f80));
    const wide = gpu.alloc(16);
    const bias = gpu.upload(Float32Array.of(0.25, -2));
    gpu.multiply({ m: 2, n: 2, k: 2, a: halves, b: halves, c: wide, type: "bf16-f32", bias, activation: "gelu" });
    const results = await wide.read(Float32Array);
    for (const [index, sum] of [-1 + 0.25, 4 - 2, -2 + 0.25, -1 - 2].entries()) {
      expect(results[index]).toBeCloseTo(gelu(sum), 6);
    }
  });

  it("a kernel that the device cannot run says why when it is asked for, and its module's others run", async () => {
    const lacking = ".visible .entry lacking()\n{\nfrobnicate.u32 1;\nret;\n}\n";
    const module = await gpu.load(ptx("linear") + lacking);
    const line = ptx("linear").split("\n").length + 2;
    expect(() => module.kernel("lacking")).toThrow(
      expect.objectContaining({
        code: "UNSUPPORTED_INSTRUCTION",
        message: `The cpu device does not have the instruction [frobnicate.u32] in line [${line}].`,
      }),
    );
    expect(module.kernels.find(({ name }) => name === "lacking")?.refusal).toContain("frobnicate");
    const [x, y] = [gpu.upload(Float32Array.of(3)), gpu.upload(Float32Array.of(1))];
    module.kernel("saxpy").launch(single, [1, 2, x, y]);
    expect([...(await y.read(Float32Array))]).toEqual([7]);
  });

  /** A module of many kernels that each add their number to a word, in so many steps. */
  const adding = (kernels: number, steps: number): string => `.version 8.0\n.target sm_80\n.address_size 64
${Array.from(
  { length: kernels },
  (_unused, index) => `.visible .entry add${index}(.param .u64 p) {
.reg .b64 %rd<2>; .reg .b32 %r<3>; ld.param.u64 %rd1, [p]; mov.u32 %r1, 1;
${"atom.global.add.u32 %r2, [%rd1], %r1;\n".repeat(steps)}ret; }`,
).join("\n")}`;

  it("two streams launch the same kernels for the first time at once, and each is known to all workers", async () => {
    const module = await gpu.load(adding(40, 3));
    const word = gpu.upload(new Uint32Array(1));
    const streams = [gpu.stream(), gpu.stream()];
    for (let index = 0; index < 40; index++)
      for (const [turn, stream] of streams.entries())
        module.kernel(`add${index}`).launch({ grid: turn === 0 ? 1 : 64, block: 32, stream }, [word]);
    expect([...(await word.read(Uint32Array))]).toEqual([40 * 65 * 32 * 3]);
  });

  it("a lease is given back in the middle of its kernels' compilation, and the next job has the device at once", async () => {
    const large = adding(40, 2000);
    const given = await pool.allocate({ fraction: 0.75 });
    const [device] = given.devices;
    const module = await device.load(large);
    const word = device.upload(new Uint32Array(1));
    for (let index = 0; index < 40; index++) module.kernel(`add${index}`).launch(single, [word]);
    const pending = word.read(Uint32Array).catch((error: unknown) => error);
    await given.release();
    const outcome = await pending;
    // A machine may have been that quick.
    if (outcome instanceof Uint32Array) expect([...outcome]).toEqual([80_000]);
    else expect(outcome).toBeInstanceOf(SluiceError);
    await using next = await pool.allocate({ fraction: 0.75 });
    const fresh = next.devices[0].upload(new Uint32Array(1));
    (await next.devices[0].load(adding(1, 1))).kernel("add0").launch(single, [fresh]);
    expect([...(await fresh.read(Uint32Array))]).toEqual([1]);
  });

  it("a thousand launches travel in a few frames, in order", async () => {
    const saxpy = (await gpu.load(ptx("linear"))).kernel("saxpy");
    const [x, y] = [gpu.upload(Float32Array.of(1)), gpu.upload(Float32Array.of(0))];
    const before = lease.stats;
    for (let index = 0; index < 1000; index++) saxpy.launch(single, [1, index % 7, x, y]);
    expect((await y.read(Float32Array))[0]).toBe(
      Array.from({ length: 1000 }, (_unused, index) => index % 7).reduce((a, b) => a + b),
    );
    expect(lease.stats.calls - before.calls).toBe(1001);
    expect(lease.stats.batches - before.batches).toBeLessThan(5);
  });

  it("what kernels print comes out before the answer behind it", async () => {
    const print = (await gpu.load(ptx("language"))).kernel("print");
    print.launch({ grid: 1, block: 2 }, [2, 1.5, 0n]);
    await gpu.synchronize();
    expect(printed).toContain("thread 0 of 2:  0.00 even\nthread 1 of 2:  1.50 odd\n%|-7|");
    expect(printed).toMatch(/plain text\n$/);
  });

  it.each([
    ["store_at", [0x1000, 5], "ILLEGAL_ADDRESS"],
    ["trap_at", [0], "KERNEL_TRAP"],
  ] as const)(
    "a kernel %s%j puts the session in error with %s, the call's name and its sequence number",
    async (name, args, code) => {
      const kept = gpu.upload(Uint8Array.of(7));
      await using own = await quarter();
      const [device] = own.devices;
      const module = await device.load(ptx("faults"));
      const buffer = device.alloc(64);
      const sequence = own.stats.calls + 1;
      module.kernel(name).launch(single, [...args]);
      buffer.fill(1);
      const error = await failureOf(buffer.read(Uint8Array));
      expect(error.code).toBe(code);
      expect(error.details).toMatchObject({ call: "launch", sequence, leaseId: own.id });
      expect(() => module.kernel(name).launch(single, [...args])).toThrow(expect.objectContaining({ code }));
      expect((await failureOf(device.synchronize())).code).toBe(code);
      expect((await kept.read(Uint8Array))[0]).toBe(7);
    },
  );

  it("a failure is told by the first question behind it, also by one that was answered without a trip before", async () => {
    for (const question of ["synchronize", "query"] as const) {
      await using own = await quarter();
      const [device] = own.devices;
      const module = await device.load(ptx("faults"));
      const event = device.event();
      await device.synchronize();
      const { roundTrips } = own.stats;
      expect(await event.query()).toBe(true);
      await event.synchronize();
      expect(own.stats.roundTrips).toBe(roundTrips);
      module.kernel("trap_at").launch(single, [0]);
      expect((await failureOf(event[question]())).code).toBe("KERNEL_TRAP");
    }
  });

  it("a failure that no answer has told about is told by the release, which still releases", async () => {
    const own = await quarter();
    const module = await own.devices[0].load(ptx("faults"));
    module.kernel("trap_at").launch(single, [0]);
    expect((await failureOf(own.release())).code).toBe("KERNEL_TRAP");
    expect((await pool.leases()).leases.map(({ id }) => id)).toEqual([lease.id]);
    await own.release();
  });

  it("a kernel that never ends is an error of its session alone", async () => {
    await using own = await quarter();
    const [device] = own.devices;
    const module = await device.load(ptx("faults"));
    const flag = device.alloc(4);
    flag.fill(0);
    module.kernel("endless").launch(single, [flag]);
    expect((await failureOf(device.synchronize())).code).toBe("KERNEL_TIMEOUT");
    expect((await gpu.upload(Uint8Array.of(3)).read(Uint8Array))[0]).toBe(3);
  });
});
