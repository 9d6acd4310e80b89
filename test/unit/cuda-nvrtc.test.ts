/**
 * CUDA C through NVIDIA's own compiler, which needs no card: where the machine has NVRTC, or `SLUICE_CUDA_PATH` names its folder. What is only believed
 * of it elsewhere, and what the stand-in in test/cuda does after it, is held here against the real one.
 */
import { describe, expect, it } from "vitest";
import { compileSource } from "../../server/device/cuda/compiler.ts";
import { imageFormat } from "../../server/device/cuda/image.ts";
import { readImageContent } from "../../server/device/cuda/image-content.ts";
import { includeFolders, openToolkitLibrary } from "../../server/device/cuda/toolkit.ts";

const driverVersion = 14_000;
const library = openToolkitLibrary("nvrtc", { named: undefined, driverVersion });
const folders = library === undefined ? [] : includeFolders(library);

const compile = (source: string, { capability = 90, options = [] as string[] } = {}) =>
  compileSource(source, { capability, driverVersion, options });
const textOf = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString("utf8");

describe.skipIf(library === undefined)("NVRTC", () => {
  it.each([75, 80, 90])(
    "gives code for a device of capability %i that it knows, and the text beside it",
    async (capability) => {
      const source = '__device__ int count[7];\nextern "C" __global__ void add(float *x) { *x += ++count[1]; }';
      const { image, text, log } = await compile(source, { capability });
      expect(log).toBe("");
      expect(imageFormat(image)).toBe("cubin");
      expect(textOf(text)).toContain(`.target sm_${capability}`);
      expect(textOf(text)).toContain(".entry add");
      const content = readImageContent(image, capability);
      expect(content.variables).toEqual(["count"]);
      expect(content.byteCount).toBeGreaterThan(28);
      expect(content.byteCount).toBeLessThan(64 * 1024);
    },
  );

  it("gives text for a device that is newer than it", async () => {
    const { image, text } = await compile('extern "C" __global__ void k() {}', { capability: 9999 });
    expect(imageFormat(image)).toBe("ptx");
    expect(text).toBeUndefined();
  });

  it("takes the options that a source may be compiled with", async () => {
    const options = ["--use_fast_math", "--std=c++20", "-DSCALE=2.0f", "--maxrregcount=32", "--restrict", "-lineinfo"];
    const { text } = await compile('extern "C" __global__ void k(float *x) { *x = sinf(*x) * SCALE; }', { options });
    expect(textOf(text)).toContain("sin.approx");
  });

  it("reads source that is nested as deep as programs make it", async () => {
    const nested = `*x = ${"(".repeat(200)}*x${"+1)".repeat(200)};`;
    await compile(`extern "C" __global__ void deep(float *x) { ${nested} }`);
  });

  it("tells what is wrong", async () => {
    const work = compile('extern "C" __global__ void k() { nonsense; }');
    await expect(work).rejects.toMatchObject({ code: "BAD_IMAGE", message: expect.stringContaining('"nonsense"') });
  });

  const uses: readonly (readonly [header: string, body: string])[] = [
    ["cuda_fp16.h", "*x = __half2float(__hadd(__float2half(*x), __float2half(1.0f)));"],
    ["cuda_bf16.h", "*x = __bfloat162float(__float2bfloat16(*x));"],
    ["cuda_fp8.h", "*x = float(__nv_fp8_e4m3(*x));"],
    [
      "mma.h",
      "nvcuda::wmma::fragment<nvcuda::wmma::accumulator, 16, 16, 16, float> f; nvcuda::wmma::fill_fragment(f, *x);",
    ],
    ["cooperative_groups.h", "cooperative_groups::this_thread_block().sync(); *x = 1;"],
  ];
  // Of the toolkit's C++ library some installations have nothing.
  const found = uses.filter(([header]) => folders.length > (header === "cooperative_groups.h" ? 1 : 0));
  it.each(found)("finds <%s> and what that includes", async (header, body) => {
    const { image } = await compile(`#include <${header}>\nextern "C" __global__ void k(float *x) { ${body} }`);
    expect(imageFormat(image)).toBe("cubin");
  });
});

if (library === undefined) console.warn("Skipped: there is no NVRTC here to compile CUDA C with.");
