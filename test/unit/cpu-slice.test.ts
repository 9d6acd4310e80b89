/** Slices of the cpu device: memory, launches and their refusals, events, output, and their end. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { cpuDriver } from "../../server/device/cpu/driver.ts";
import { ARENA_BASE, OUTPUT_BYTES_MAX } from "../../shared/limits.ts";
import {
  ARENA_BYTES,
  bytesOf,
  type CpuMachine,
  failure,
  openCpu,
  ptxKernel,
  ptxModule,
  readWords,
  runPtx,
} from "./cpu-machine.ts";

let machine: CpuMachine;
beforeAll(async () => {
  machine = await openCpu();
});
afterAll(() => machine.slice.close());

describe("discovery", () => {
  test.each([
    ["", 1, undefined],
    ["2GiB", 1, 2 ** 31],
    ["4x2GiB", 4, 2 ** 31],
    ["3x0.5GiB", 3, 2 ** 29],
    ["2x", 2, undefined],
  ])("of [%s] finds %i devices", async (spec, count, memoryBytes) => {
    const devices = await cpuDriver.discover(spec);
    expect(devices.map(({ id }) => id)).toEqual(Array.from({ length: count }, (_, index) => `cpu:${index}`));
    for (const device of devices) {
      if (memoryBytes !== undefined) expect(device.memoryBytes).toBe(memoryBytes);
      expect(device.memoryBytes % device.granularityBytes).toBe(0);
      expect(device.sliceBytesMax).toBeLessThanOrEqual(Math.min(device.memoryBytes, 2 ** 32));
      expect(device).toMatchObject({ kind: "cpu", capabilityMajor: 8, capabilityMinor: 0, overheadBytes: 0 });
    }
  });

  test("of no size finds a device that one lease can have whole", async () => {
    const [device] = await cpuDriver.discover("");
    expect(device!.sliceBytesMax).toBe(device!.memoryBytes);
  });

  test.each(["0x2GiB", "2 GiB", "65x1GiB", "GiB", "4x2", "-1GiB", "1e3GiB", "0GiB", "9000TiB"])(
    "refuses [%s]",
    async (spec) => {
      expect(await failure(() => cpuDriver.discover(spec))).toMatchObject({ code: "BAD_ARGUMENT" });
    },
  );

  test("opens no slice that is too large, empty or not a multiple of the granularity", async () => {
    for (const arenaBytes of [0, -65_536, 65_537, 2 ** 32]) {
      expect(await failure(() => openCpu({ arenaBytes }))).toMatchObject({ code: "BAD_ARGUMENT" });
    }
  });

  test("opens a slice of the largest size it offers, zero up to its last byte, which kernels reach", async () => {
    const [description] = await cpuDriver.discover("4GiB");
    const { slice, output } = await openCpu({ arenaBytes: description!.sliceBytesMax });
    const last = ARENA_BASE + description!.sliceBytesMax - 4;
    const word = new Uint8Array(4).fill(1);
    await slice.read(last, word, undefined);
    expect([...word]).toEqual([0, 0, 0, 0]);
    await runPtx({ slice, output }, ptxKernel("st.global.u32 [%rd0], 0x01020304;"), { args: [last] });
    await slice.read(last, word, undefined);
    expect([...word]).toEqual([4, 3, 2, 1]);
    await slice.close();
  });
});

describe("memory", () => {
  test("is filled by 8, 16 and 32 bits, and copied also where ranges overlap", () => {
    const { slice } = machine;
    void slice.fill({ address: ARENA_BASE, count: 8, width: 4, value: 0xdeadbeef }, undefined);
    void slice.fill({ address: ARENA_BASE + 2, count: 1, width: 2, value: 0x12345 }, undefined);
    void slice.fill({ address: ARENA_BASE + 5, count: 2, width: 1, value: 0x1ff }, undefined);
    expect([...readWords(machine, 3)]).toEqual([0x2345beef, 0xdeffffef, 0xdeadbeef]);
    void slice.copy({ destination: ARENA_BASE + 4, source: ARENA_BASE, byteCount: 8 }, undefined);
    expect([...readWords(machine, 3)]).toEqual([0x2345beef, 0x2345beef, 0xdeffffef]);
  });

  test.each([
    ["below the arena", ARENA_BASE - 4],
    ["past its end", ARENA_BASE + ARENA_BYTES],
    ["across its end", ARENA_BASE + ARENA_BYTES - 2],
    ["without its base", 64],
    ["past the globals, where the runtime lives", ARENA_BASE + ARENA_BYTES + 70 * 2 ** 20],
  ])("is not copied %s", async (_, address) => {
    const { slice } = machine;
    for (const call of [
      () => slice.write(address, new Uint8Array(4), undefined),
      () => slice.read(address, new Uint8Array(4), undefined),
      () => slice.copy({ destination: address, source: ARENA_BASE, byteCount: 4 }, undefined),
      () => slice.copy({ destination: ARENA_BASE, source: address, byteCount: 4 }, undefined),
      () => slice.fill({ address, count: 4, width: 1, value: 0 }, undefined),
    ]) {
      expect(await failure(call)).toMatchObject({ code: "ADDRESS_OUTSIDE_ARENA" });
    }
  });
});

describe("a launch", () => {
  const kernel = ptxModule(
    ".visible .entry k(.param .u64 a) .maxntid 64, 1, 1 { .shared .b8 s[1000]; .reg .b32 %r<2>; ld.shared.u8 %r1, [s]; ret; }",
  );
  const good = { grid: [1, 1, 1], block: [1, 1, 1], sharedBytes: 0, params: new Uint8Array(8) } as const;

  test.each([
    ["a grid of zero", { grid: [1, 0, 1] as const }, "[0]"],
    ["a grid that is too high", { grid: [1, 65_536, 1] as const }, "[65536]"],
    ["a grid that is too wide", { grid: [2 ** 31, 1, 1] as const }, "[2147483648]"],
    ["a grid with too many blocks", { grid: [2 ** 31 - 1, 65_535, 65_535] as const }, "blocks"],
    ["a block of zero", { block: [0, 1, 1] as const }, "[0]"],
    ["a block that is too deep", { block: [1, 1, 65] as const }, "[65]"],
    ["more than 1024 threads", { block: [32, 33, 1] as const }, "[1056]"],
    ["more threads than .maxntid", { block: [65, 1, 1] as const }, "[65]"],
    ["too much shared memory", { sharedBytes: 166_000 }, "[166000]"],
    ["negative shared memory", { sharedBytes: -1 }, "[-1]"],
    ["too few bytes of parameters", { params: new Uint8Array(4) }, "[4]"],
    ["too many bytes of parameters", { params: new Uint8Array(16) }, "[16]"],
  ])("with %s is refused with its values, and poisons nothing", async (_, change, value) => {
    const module = await machine.slice.loadModule(bytesOf(kernel));
    const launch = (options: object) =>
      machine.slice.launch({ module, kernel: 0, stream: undefined, ...good, ...options });
    const { code, message } = await failure(() => launch(change));
    expect(code).toBe("BAD_LAUNCH");
    expect(message).toContain("[k]");
    expect(message).toContain(value);
    await launch({});
  });

  test("must have exactly the block of .reqntid", async () => {
    const text = ptxKernel("", { attributes: ".reqntid 32, 2, 1" });
    await runPtx(machine, text, { block: [32, 2, 1] });
    expect(await failure(() => runPtx(machine, text, { block: [64, 1, 1] }))).toMatchObject({ code: "BAD_LAUNCH" });
  });

  test("of a kernel that a module does not have is refused", async () => {
    const module = await machine.slice.loadModule(bytesOf(kernel));
    const call = () => machine.slice.launch({ module, kernel: 1, stream: undefined, ...good });
    expect(await failure(call)).toMatchObject({ code: "NO_SUCH_KERNEL" });
  });

  test("runs every block of a large grid exactly once", async () => {
    const body =
      "mov.u32 %r1, %ctaid.x; and.b32 %r1, %r1, 1023; mul.wide.u32 %rd1, %r1, 4; add.u64 %rd1, %rd0, %rd1; red.global.add.u32 [%rd1], 1;";
    void machine.slice.fill({ address: ARENA_BASE, count: 1024, width: 4, value: 0 }, undefined);
    await runPtx(machine, ptxKernel(body), { grid: [102_400, 1, 1] });
    expect(new Set(readWords(machine, 1024))).toEqual(new Set([100]));
  });

  test("numbers blocks and threads in three dimensions", async () => {
    const body = `mov.u32 %r1, %ctaid.z; mov.u32 %r2, %nctaid.y; mov.u32 %r3, %ctaid.y; mad.lo.u32 %r1, %r1, %r2, %r3;
      mov.u32 %r2, %nctaid.x; mov.u32 %r3, %ctaid.x; mad.lo.u32 %r1, %r1, %r2, %r3;
      mov.u32 %r2, %ntid.z; mov.u32 %r3, %tid.z; mad.lo.u32 %r1, %r1, %r2, %r3; mov.u32 %r2, %ntid.y; mov.u32 %r3, %tid.y; mad.lo.u32 %r1, %r1, %r2, %r3;
      mov.u32 %r2, %ntid.x; mov.u32 %r3, %tid.x; mad.lo.u32 %r1, %r1, %r2, %r3; mul.wide.u32 %rd1, %r1, 4; add.u64 %rd1, %rd0, %rd1; st.global.u32 [%rd1], %r1;`;
    await runPtx(machine, ptxKernel(body), { grid: [3, 2, 5], block: [5, 3, 7] });
    expect([...readWords(machine, 3 * 2 * 5 * 105)]).toEqual(Array.from({ length: 3150 }, (_, index) => index));
  });
});

describe("events", () => {
  test("tell the time between two recordings, and refuse what has none", async () => {
    const { slice } = machine;
    const [start, end, untimed, never] = [
      slice.createEvent(0),
      slice.createEvent(0),
      slice.createEvent(2),
      slice.createEvent(0),
    ];
    expect(slice.queryEvent(never)).toBe(true);
    slice.recordEvent(start, undefined);
    await runPtx(
      machine,
      ptxKernel("mov.u32 %r1, 0; L: add.u32 %r1, %r1, 1; setp.lt.u32 %p1, %r1, 1000000; @%p1 bra L;"),
    );
    slice.recordEvent(end, undefined);
    slice.recordEvent(untimed, undefined);
    expect(slice.elapsed(start, end)).toBeGreaterThan(0);
    for (const other of [untimed, never]) {
      expect(await failure(() => slice.elapsed(start, other))).toMatchObject({ code: "BAD_ARGUMENT" });
    }
  });
});

describe("output", () => {
  const print = `.extern .func (.param .b32 r) vprintf (.param .b64 a, .param .b64 b);
    .global .align 1 .b8 format[16] = {37, 100, 32, 37, 115, 32, 37, 46, 50, 102, 10};
    .global .align 1 .b8 word[4] = {97, 98, 99};`;
  const call = `.local .align 8 .b8 buffer[24]; mov.u64 %rd3, buffer; cvta.local.u64 %rd4, %rd3; mov.u64 %rd5, word;
    st.local.u32 [%rd3], %r0; st.local.u64 [%rd3+8], %rd5; mov.f64 %fd1, 0d3FF8000000000000; st.local.f64 [%rd3+16], %fd1; mov.u64 %rd6, format;
    { .param .b64 a; .param .b64 b; .param .b32 c; st.param.b64 [a], %rd6; st.param.b64 [b], %rd4; call.uni (c), vprintf, (a, b); ld.param.b32 %r9, [c]; }`;

  test("comes in the order of the threads", async () => {
    const own = await openCpu();
    await runPtx(own, ptxKernel(call, { before: print }), { block: 3 });
    expect(own.output()).toBe("0 abc 1.50\n1 abc 1.50\n2 abc 1.50\n");
    await own.slice.close();
  });

  test("beyond its bound is dropped, and says so", async () => {
    const own = await openCpu();
    await runPtx(own, ptxKernel(call, { before: print }), { block: 1024, grid: [200, 1, 1] });
    expect(own.output().length).toBeLessThanOrEqual(OUTPUT_BYTES_MAX + 100);
    expect(own.output().length).toBeGreaterThan(OUTPUT_BYTES_MAX - 100);
    expect(own.output()).toMatch(/\n\[output beyond 1048576 bytes is dropped\]\n$/);
    await runPtx(own, ptxKernel(call, { before: print }));
    expect(own.output()).toMatch(/dropped\]\n0 abc 1.50\n$/);
    await own.slice.close();
  });

  test("of a kernel that fails is there before its error", async () => {
    const own = await openCpu();
    expect(await failure(() => runPtx(own, ptxKernel(`${call} trap;`, { before: print })))).not.toMatchObject({
      code: "none",
    });
    expect(own.output()).toBe("0 abc 1.50\n");
    await own.slice.close();
  });
});

describe("a slice", () => {
  test("measures the time in which kernels run, and nothing else", async () => {
    const own = await openCpu();
    await own.slice.write(ARENA_BASE, new Uint8Array(1000), undefined);
    expect(own.slice.deviceTimeMs!()).toBe(0);
    await runPtx(own, ptxKernel("mov.u32 %r1, 0; L: add.u32 %r1, %r1, 1; setp.lt.u32 %p1, %r1, 3000000; @%p1 bra L;"));
    expect(own.slice.deviceTimeMs!()).toBeGreaterThan(0);
    await own.slice.close();
  });

  test("tells of its failure once", async () => {
    const [description] = await cpuDriver.discover("1x64MiB");
    const heard: string[] = [];
    const slice = await cpuDriver.open({
      description: description!,
      arenaBytes: ARENA_BYTES,
      arenaBase: ARENA_BASE,
      kernelTimeoutMs: 20_000,
      onOutput: () => {},
      onFailure: ({ code }) => heard.push(code),
    });
    const own = { slice, output: () => "" };
    await failure(() => runPtx(own, ptxKernel("trap;")));
    await failure(() => runPtx(own, ptxKernel("trap;")));
    await slice.close();
    expect(heard).toEqual(["KERNEL_TRAP"]);
  });

  test("opens and loads the same after the device was prepared", async () => {
    await cpuDriver.prepare!();
    await runPtx(machine, ptxKernel("st.global.u32 [%rd0], 5;"));
    expect(readWords(machine, 1)[0]).toBe(5);
  });
});

describe("the end of a slice", () => {
  test("ends a kernel that never ends, and comes again without harm", async () => {
    const own = await openCpu({ kernelTimeoutMs: 0 });
    const running = failure(() => runPtx(own, ptxKernel("L: bra L;")));
    await own.slice.close();
    expect(await running).toMatchObject({ code: "CLOSED" });
    await own.slice.close();
    expect(await failure(() => own.slice.write(ARENA_BASE, new Uint8Array(1), undefined))).toMatchObject({
      code: "CLOSED",
    });
  });

  test.each([
    ["is idle", ""],
    ["has run a kernel", "await launch('ret;');"],
    ["runs a kernel that never ends when it is closed", "launch('L: bra L;').catch(() => {});"],
  ])("lets the process of the built package go, when it %s", async (_, work) => {
    const driver = fileURLToPath(new URL("../../dist/modules/server/device/cpu/driver.js", import.meta.url));
    const script = `import { cpuDriver } from ${JSON.stringify(driver)};
      const [description] = await cpuDriver.discover("1GiB");
      const slice = await cpuDriver.open({ description, arenaBytes: 65536, arenaBase: ${ARENA_BASE}, kernelTimeoutMs: 0, onOutput() {} });
      const launch = async (body) => {
        const text = ".version 8.0\\n.target sm_80\\n.address_size 64\\n.entry k() { " + body + " }";
        const module = await slice.loadModule(new TextEncoder().encode(text));
        await slice.launch({ module, kernel: 0, grid: [2, 1, 1], block: [32, 1, 1], sharedBytes: 0, params: new Uint8Array(0), stream: undefined });
      };
      ${work}
      await slice.close();
      console.log("closed");`;
    const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", script], {
      timeout: 20_000,
    });
    expect(stdout.trim()).toBe("closed");
  });
});
