/**
 * Holds what the cuda device believes of NVIDIA's interfaces against their headers, where they are installed: functions, numbers and structs.
 * The compiler compares: programs are made of our tables, and must compile. For cuda.h that needs a toolkit; the others come with its libraries.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { accessDescription, allocationProperties } from "../../server/device/cuda/arena.ts";
import { ArrayFlag, describeArray, describeCopy, MemoryType, PartsFormat } from "../../server/device/cuda/array.ts";
import { nvrtcSignatures } from "../../server/device/cuda/compiler.ts";
import * as numbers from "../../server/device/cuda/constants.ts";
import {
  ATTRIBUTE_TYPE_MAX,
  Attribute,
  AttributeType,
  Backend,
  dnnSignatures,
} from "../../server/device/cuda/dnn-library.ts";
import { DIMENSIONS_MAX } from "../../server/device/cuda/dnn-sizes.ts";
import { FftStatus, fftSignatures } from "../../server/device/cuda/fft-library.ts";
import { blasOfHandles, handleSignatures, solverOfHandles } from "../../server/device/cuda/handle-library.ts";
import { cooperativeConfig } from "../../server/device/cuda/launch.ts";
import { cudaSignatures } from "../../server/device/cuda/library.ts";
import {
  cublasLtSignatures,
  DescAttribute,
  LayoutAttribute,
  PreferenceAttribute,
  productTypes,
  RESULT_BYTES,
  RESULT_STATE_AT,
  Status,
} from "../../server/device/cuda/multiplier.ts";
import { nvmlLayouts, nvmlSignatures } from "../../server/device/cuda/nvml.ts";
import { RandStatus, randSignatures } from "../../server/device/cuda/rand-library.ts";
import { sparseOfHandles } from "../../server/device/cuda/sparse-library.ts";
import type { Signatures } from "../../server/device/cuda/symbols.ts";
import { describeArrayResource, describeMemory, describeTexture } from "../../server/device/cuda/texture.ts";
import { DnnStatus } from "../../server/device/dnn.ts";
import { LinkKind } from "../../server/device/link-image.ts";
import { AddressMode, type TextureOptions, texelFormats } from "../../server/device/texel.ts";
import { dnn } from "../../shared/dnn-functions.ts";
import { fft } from "../../shared/fft-functions.ts";
import { DNN_PERF_BYTES, type LibraryArgument } from "../../shared/library-functions.ts";
import { rand } from "../../shared/rand-functions.ts";

/** Folders of headers: one that is named, then those of toolkits, newest first. */
function includeFolders(): string[] {
  const { SLUICE_CUDA_INCLUDE, CUDA_HOME, CUDA_PATH } = process.env;
  const toolkits = existsSync("/usr/local") ? readdirSync("/usr/local").filter((name) => name.startsWith("cuda-")) : [];
  const newest = toolkits.sort((a, b) => b.localeCompare(a, "en", { numeric: true }));
  const roots = [CUDA_HOME, CUDA_PATH, "/usr/local/cuda", ...newest.map((name) => join("/usr/local", name))];
  const folders = [SLUICE_CUDA_INCLUDE, ...roots.map((root) => root && join(root, "include"))];
  return folders.filter((folder): folder is string => !!folder && existsSync(folder));
}

function hasCompiler(): boolean {
  try {
    execFileSync("c++", ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

const folders = includeFolders();
const compiles = hasCompiler();
const has = (header: string): boolean => compiles && folders.some((folder) => existsSync(join(folder, header)));

let folder: string | undefined;
afterAll(() => folder && rmSync(folder, { recursive: true, force: true }));

/** Compiles C++ with the headers, and runs it if it is to; what the compiler has against it is the error. */
function compile(source: string, { runs = false } = {}): string {
  folder ??= mkdtempSync(join(tmpdir(), "sluice-test-headers-"));
  const [file, program] = [join(folder, "check.cpp"), join(folder, "check")];
  writeFileSync(file, source);
  const output = runs ? ["-o", program] : ["-fsyntax-only"];
  const include = folders.flatMap((each) => ["-isystem", each]);
  try {
    execFileSync("c++", ["-std=c++17", ...include, ...output, file], { encoding: "utf8", stdio: "pipe" });
  } catch (error) {
    throw new Error((error as { stderr: string }).stderr.slice(0, 4000));
  }
  return runs ? execFileSync(program, { encoding: "utf8" }) : "";
}

/** Which C types a kind of argument may stand for. */
const prelude = `
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <tuple>
#include <type_traits>
template <class F> struct arguments;
template <class R, class... A> struct arguments<R(A...)> {
  static_assert(sizeof(R) == 4, "a status");
  static constexpr std::size_t count = sizeof...(A);
  template <std::size_t I> using at = std::tuple_element_t<I, std::tuple<A...>>;
};
template <class T> constexpr bool i32 = std::is_same_v<T, int> || (std::is_enum_v<T> && sizeof(T) == 4);
template <class T> constexpr bool u32 = std::is_same_v<T, unsigned int> || (std::is_enum_v<T> && sizeof(T) == 4);
template <class T> constexpr bool u16 = std::is_same_v<T, unsigned short>;
template <class T> constexpr bool u8 = std::is_same_v<T, unsigned char>;
template <class T> constexpr bool u64 = sizeof(T) == 8 && (std::is_pointer_v<T> || std::is_integral_v<T>);
template <class T> constexpr bool i8 = std::is_same_v<T, signed char>;
template <class T> constexpr bool i64 = sizeof(T) == 8 && std::is_integral_v<T> && std::is_signed_v<T>;
template <class T> constexpr bool memory = std::is_pointer_v<T>;
template <class T> constexpr bool f32 = std::is_same_v<T, float>;
template <class T> constexpr bool f64 = std::is_same_v<T, double>;
template <class T> constexpr bool text = std::is_same_v<T, const char *>;
`;

/** Statements that hold where the header's functions take what ours are given. */
const functions = (signatures: Signatures | Readonly<Record<string, readonly string[]>>): string =>
  Object.entries(signatures)
    .map(([name, kinds]) =>
      [
        `static_assert(arguments<decltype(${name})>::count == ${kinds.length}, "${name}");`,
        ...kinds.map((kind, i) => `static_assert(${kind}<arguments<decltype(${name})>::at<${i}>>, "${name}, ${i}");`),
      ].join("\n"),
    )
    .join("\n");

/** The same for numbers, by their names in the header. */
const equalities = (prefix: string, table: Readonly<Record<string, number>>): string =>
  Object.entries(table)
    .map(([name, value]) => `static_assert((long long)${prefix}${name} == ${value}, "${prefix}${name}");`)
    .join("\n");

/** With this macro cuda.h declares every version of a function that a driver exports, and renames none. */
const cuda = `#define __CUDA_API_VERSION_INTERNAL 1\n#include <cuda.h>\n${prelude}`;

const cudaFormats = { u8: "UNSIGNED_INT8", u16: "UNSIGNED_INT16", u32: "UNSIGNED_INT32", s8: "SIGNED_INT8" };
const moreFormats = { s16: "SIGNED_INT16", s32: "SIGNED_INT32", f16: "HALF", f32: "FLOAT" };
const formatNames: Readonly<Record<string, string>> = { ...cudaFormats, ...moreFormats };

describe.skipIf(!has("cuda.h"))("cuda.h", () => {
  it("declares every function of the driver that is called, with the arguments that it is called with", () => {
    compile(`${cuda}${functions(cudaSignatures)}`);
  });

  it("has the numbers that are used", () => {
    const { SUCCESS, ...results } = numbers.CUresult;
    const { FATBIN, ...kinds } = LinkKind;
    const formats = Object.entries(texelFormats).map(([value, { name }]) => [formatNames[name]!, Number(value)]);
    const { u8, u16, s8, s16 } = PartsFormat;
    const partsFormats = { UNORM_INT8X1: u8, UNORM_INT16X1: u16, SNORM_INT8X1: s8, SNORM_INT16X1: s16 };
    const single = {
      CUDA_SUCCESS: SUCCESS,
      CU_JIT_INPUT_FATBINARY: FATBIN,
      CU_CTX_SCHED_BLOCKING_SYNC: numbers.CTX_SCHED_BLOCKING_SYNC,
      CU_EVENT_DISABLE_TIMING: numbers.EVENT_DISABLE_TIMING,
      CU_STREAM_NON_BLOCKING: numbers.STREAM_NON_BLOCKING,
      CU_MEM_ALLOC_GRANULARITY_MINIMUM: numbers.MEM_GRANULARITY_MINIMUM,
      CU_LIMIT_STACK_SIZE: numbers.LIMIT_STACK_SIZE,
      CU_LIMIT_MALLOC_HEAP_SIZE: numbers.LIMIT_MALLOC_HEAP_SIZE,
    };
    compile(
      [
        cuda,
        equalities("", single),
        equalities("CUDA_ERROR_", results),
        equalities("CU_DEVICE_ATTRIBUTE_", numbers.DeviceAttributeNumber),
        equalities("CU_COMPUTEMODE_", numbers.ComputeMode),
        equalities("CU_FUNC_ATTRIBUTE_", numbers.FunctionAttribute),
        equalities("CU_JIT_", numbers.JitOption),
        equalities("CU_JIT_INPUT_", kinds),
        equalities("CU_TR_ADDRESS_MODE_", AddressMode),
        equalities("CU_AD_FORMAT_", Object.fromEntries(formats)),
        equalities("CUDA_ARRAY3D_", ArrayFlag),
        equalities("CU_MEMORYTYPE_", MemoryType),
        equalities("CU_AD_FORMAT_", partsFormats),
        equalities(
          "CU_LAUNCH_PARAM_",
          Object.fromEntries(Object.entries(numbers.LaunchParam).map(([name, value]) => [`${name}_AS_INT`, value])),
        ),
      ].join("\n"),
    );
  });

  it("lays structs out as they are written", () => {
    const [grid, block] = [[2, 3, 5] as const, [7, 11, 13] as const];
    const layout = { address: 0x6000_1234_0000, format: 9, channels: 2, width: 21, height: 22, rowBytes: 96 } as const;
    const texture: TextureOptions = {
      resource: "rows",
      layout: { ...layout, depth: 0, layers: 0, planeBytes: 0 },
      addressModes: [AddressMode.CLAMP, AddressMode.BORDER, AddressMode.MIRROR],
      filter: "linear",
      readsIntegers: true,
      isNormalized: true,
      isCube: false,
      isSeamless: true,
      border: [1, 2, 3, 0x3f80_0000],
      convertsSrgb: true,
      levels: { further: [], filter: "linear", bias: 0.5, least: 1.5, most: 2.5 },
    };
    const box = { x: 8, y: 3, z: 5, widthBytes: 16, height: 7, depth: 2, offset: 4096, isRounded: false };
    const planes = { ...layout, depth: 0, layers: 12, planeBytes: 96 * 40 };
    const shape = { levels: [planes], isCube: true, hasCubeLayers: true, storesParts: true, isSurface: true };
    const bytes = (view: ArrayBufferView): string =>
      Buffer.from(view.buffer, view.byteOffset, view.byteLength).toString("hex");
    const config = cooperativeConfig({ grid, block, sharedBytes: 17 }, { handle: 0x7000_0000_1000 });
    // It ends with its attribute, whose address is in it.
    const attribute = config.subarray(14);
    const described = config.slice(0, 14);
    new BigUint64Array(described.buffer)[5] = 0n;
    const ours = {
      prop: bytes(allocationProperties(3)),
      access: bytes(accessDescription(3)),
      config: bytes(described),
      attribute: bytes(attribute),
      rows: bytes(describeMemory(texture)),
      line: bytes(describeMemory({ ...texture, resource: "linear" })),
      array: bytes(describeArrayResource({ isMipmapped: false, handle: 0x7000_0000_2000n })),
      mipmapped: bytes(describeArrayResource({ isMipmapped: true, handle: 0x7000_0000_2000n })),
      shape: bytes(describeArray(shape, ArrayFlag.CUBEMAP | ArrayFlag.LAYERED)),
      into: bytes(describeCopy(box, { layout: planes, array: 0x7000_0000_2000n, isInto: true })),
      outof: bytes(describeCopy(box, { layout: planes, array: 0x7000_0000_2000n, isInto: false })),
      requirements: "32",
      texture: bytes(describeTexture(texture)),
    };
    const lines = compile(structs, { runs: true }).trim().split("\n");
    expect(ours).toEqual(Object.fromEntries(lines.map((line) => line.split(" "))));
  });
});

/** Fills the structs of cuda.h as the test above has ours filled, and prints their bytes. */
const structs = `${cuda}
#include <cstring>
static void print(const char *name, const void *bytes, size_t count) {
  printf("%s ", name);
  for (size_t i = 0; i < count; i++) printf("%02x", ((const unsigned char *)bytes)[i]);
  puts("");
}
int main() {
  CUmemAllocationProp prop;
  memset(&prop, 0, sizeof prop);
  prop.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  prop.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  prop.location.id = 3;
  print("prop", &prop, sizeof prop);
  CUmemAccessDesc access;
  memset(&access, 0, sizeof access);
  access.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  access.location.id = 3;
  access.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
  print("access", &access, sizeof access);
  CUlaunchConfig config;
  memset(&config, 0, sizeof config);
  config.gridDimX = 2, config.gridDimY = 3, config.gridDimZ = 5;
  config.blockDimX = 7, config.blockDimY = 11, config.blockDimZ = 13;
  config.sharedMemBytes = 17, config.hStream = (CUstream)0x700000001000, config.numAttrs = 1;
  print("config", &config, sizeof config);
  CUlaunchAttribute attribute;
  memset(&attribute, 0, sizeof attribute);
  attribute.id = CU_LAUNCH_ATTRIBUTE_COOPERATIVE, attribute.value.cooperative = 1;
  print("attribute", &attribute, sizeof attribute);
  CUDA_RESOURCE_DESC rows, line;
  memset(&rows, 0, sizeof rows);
  rows.resType = CU_RESOURCE_TYPE_PITCH2D;
  rows.res.pitch2D.devPtr = 0x600012340000, rows.res.pitch2D.format = CU_AD_FORMAT_SIGNED_INT16;
  rows.res.pitch2D.numChannels = 2, rows.res.pitch2D.width = 21, rows.res.pitch2D.height = 22;
  rows.res.pitch2D.pitchInBytes = 96;
  print("rows", &rows, sizeof rows);
  memset(&line, 0, sizeof line);
  line.resType = CU_RESOURCE_TYPE_LINEAR;
  line.res.linear.devPtr = 0x600012340000, line.res.linear.format = CU_AD_FORMAT_SIGNED_INT16;
  line.res.linear.numChannels = 2, line.res.linear.sizeInBytes = 21 * 4;
  print("line", &line, sizeof line);
  CUDA_RESOURCE_DESC array, mipmapped;
  memset(&array, 0, sizeof array);
  array.resType = CU_RESOURCE_TYPE_ARRAY, array.res.array.hArray = (CUarray)0x700000002000;
  print("array", &array, sizeof array);
  memset(&mipmapped, 0, sizeof mipmapped);
  mipmapped.resType = CU_RESOURCE_TYPE_MIPMAPPED_ARRAY, mipmapped.res.mipmap.hMipmappedArray = (CUmipmappedArray)0x700000002000;
  print("mipmapped", &mipmapped, sizeof mipmapped);
  CUDA_ARRAY3D_DESCRIPTOR shape;
  memset(&shape, 0, sizeof shape);
  shape.Width = 21, shape.Height = 22, shape.Depth = 12, shape.Format = CU_AD_FORMAT_SNORM_INT16X2, shape.NumChannels = 2;
  shape.Flags = CUDA_ARRAY3D_CUBEMAP | CUDA_ARRAY3D_LAYERED;
  print("shape", &shape, sizeof shape);
  CUDA_MEMCPY3D into, outof;
  memset(&into, 0, sizeof into);
  into.srcMemoryType = CU_MEMORYTYPE_DEVICE, into.srcDevice = 0x600012341000, into.srcPitch = 96, into.srcHeight = 40;
  into.dstMemoryType = CU_MEMORYTYPE_ARRAY, into.dstArray = (CUarray)0x700000002000;
  into.dstXInBytes = 8, into.dstY = 3, into.dstZ = 5, into.WidthInBytes = 16, into.Height = 7, into.Depth = 2;
  print("into", &into, sizeof into);
  memset(&outof, 0, sizeof outof);
  outof.dstMemoryType = CU_MEMORYTYPE_DEVICE, outof.dstDevice = 0x600012341000, outof.dstPitch = 96, outof.dstHeight = 40;
  outof.srcMemoryType = CU_MEMORYTYPE_ARRAY, outof.srcArray = (CUarray)0x700000002000;
  outof.srcXInBytes = 8, outof.srcY = 3, outof.srcZ = 5, outof.WidthInBytes = 16, outof.Height = 7, outof.Depth = 2;
  print("outof", &outof, sizeof outof);
  printf("requirements %d\\n", (int)sizeof(CUDA_ARRAY_MEMORY_REQUIREMENTS));
  static_assert(offsetof(CUDA_ARRAY_MEMORY_REQUIREMENTS, size) == 0, "the size comes first");
  CUDA_TEXTURE_DESC texture;
  memset(&texture, 0, sizeof texture);
  texture.addressMode[0] = CU_TR_ADDRESS_MODE_CLAMP, texture.addressMode[1] = CU_TR_ADDRESS_MODE_BORDER;
  texture.addressMode[2] = CU_TR_ADDRESS_MODE_MIRROR;
  texture.filterMode = CU_TR_FILTER_MODE_LINEAR;
  texture.flags = CU_TRSF_READ_AS_INTEGER | CU_TRSF_NORMALIZED_COORDINATES | CU_TRSF_SRGB | CU_TRSF_SEAMLESS_CUBEMAP;
  texture.mipmapFilterMode = CU_TR_FILTER_MODE_LINEAR, texture.mipmapLevelBias = 0.5f;
  texture.minMipmapLevelClamp = 1.5f, texture.maxMipmapLevelClamp = 2.5f;
  const unsigned border[] = {1, 2, 3, 0x3f800000};
  memcpy(texture.borderColor, border, sizeof border);
  print("texture", &texture, sizeof texture);
}
`;

describe.skipIf(!has("nvml.h"))("nvml.h", () => {
  const nvml = `#define NVML_NO_UNVERSIONED_FUNC_DEFS 1\n#include <nvml.h>\n${prelude}`;

  it("declares every function of NVML that is called, with the arguments that it is called with", () => {
    compile(`${nvml}${functions(nvmlSignatures)}`);
  });

  it("has the numbers and the structs that are used", () => {
    const { SUCCESS, ...results } = numbers.NvmlReturn;
    const names = ["SwPowerCap", "HwSlowdown", "SwThermalSlowdown", "HwThermalSlowdown", "HwPowerBrakeSlowdown"];
    const layouts = Object.entries(nvmlLayouts).flatMap(([name, { size, ...offsets }]) => [
      equalities("", { [`sizeof(${name})`]: size }),
      ...Object.entries(offsets).map(([field, at]) => equalities("", { [`offsetof(${name}, ${field})`]: at })),
    ]);
    const single = {
      NVML_SUCCESS: SUCCESS,
      NVML_TEMPERATURE_GPU: numbers.NVML_TEMPERATURE_GPU,
      NVML_MEMORY_ERROR_TYPE_UNCORRECTED: numbers.NVML_ECC_UNCORRECTED,
      NVML_VOLATILE_ECC: numbers.NVML_ECC_VOLATILE,
      NVML_P2P_CAPS_INDEX_NVLINK: numbers.NVML_P2P_CAPS_NVLINK,
      nvmlEventTypeXidCriticalError: numbers.NVML_EVENT_XID,
    };
    // Headers have called them by the one name, then by the other.
    const reasons = numbers.clockReasons.map(([bit], index) => {
      const [younger, older] = ["Event", "Throttle"].map((word) => `nvmlClocks${word}Reason${names[index]}`) as [
        string,
        string,
      ];
      return `#ifdef ${younger}\n${equalities("", { [younger]: bit })}\n#else\n${equalities("", { [older]: bit })}\n#endif`;
    });
    compile([nvml, equalities("", single), equalities("NVML_ERROR_", results), ...reasons, ...layouts].join("\n"));
  });
});

describe.skipIf(!has("nvrtc.h"))("nvrtc.h", () => {
  it("declares every function of NVRTC that is called, with the arguments that it is called with", () => {
    compile(`#include <nvrtc.h>\n${prelude}${functions(nvrtcSignatures)}`);
  });
});

/** How an argument of the table of functions is passed, in the words of the prelude. */
function passed({ kind, isResult }: LibraryArgument): string {
  if (isResult) return "memory";
  if (kind === "type" || kind === "dataType" || kind === "indexType" || kind === "which") return "i32";
  if (kind === "exact") return "u64";
  const numbers: readonly string[] = ["i8", "i32", "u32", "i64", "u64", "f32", "f64"];
  return numbers.includes(kind) ? kind : "memory";
}

describe.skipIf(!has("cudnn.h") || !has("cuda_runtime_api.h"))("cudnn.h", () => {
  const source = `#include <cudnn.h>\n${prelude}`;

  it("declares every function of cuDNN that is called, with the arguments that it is called with", () => {
    const listed = dnn.functions.map(({ name, arguments: all }) => [name, all.map(passed)] as const);
    const ended = Object.values(dnn.descriptors).map(({ destroy }) => [destroy, ["memory"]] as const);
    compile(`${source}${functions(dnnSignatures)}\n${functions(Object.fromEntries([...listed, ...ended]))}`);
  });

  it("has the numbers that are passed, and elements of the sizes that are checked", () => {
    const descriptors = Object.entries(Backend).map(([name, value]) => [`${name}_DESCRIPTOR`, value]);
    const checks = [
      equalities("CUDNN_ATTR_", Attribute),
      equalities("CUDNN_TYPE_", AttributeType),
      equalities("CUDNN_STATUS_", DnnStatus),
      equalities("CUDNN_BACKEND_", Object.fromEntries(descriptors)),
      "static_assert(sizeof(cudnnFraction_t) == 16 && sizeof(bool) == 1 && sizeof(cudnnBackendAttributeName_t) == 4);",
      `static_assert(sizeof(cudnnConvolutionFwdAlgoPerf_t) == ${DNN_PERF_BYTES} && CUDNN_DIM_MAX == ${DIMENSIONS_MAX});`,
      `static_assert(sizeof(cudnnConvolutionBwdDataAlgoPerf_t) == ${DNN_PERF_BYTES} && sizeof(cudnnConvolutionBwdFilterAlgoPerf_t) == ${DNN_PERF_BYTES});`,
      `static_assert((int)CUDNN_TYPE_MOE_GROUPED_MATMUL_MODE <= ${ATTRIBUTE_TYPE_MAX});`,
    ];
    compile(`${source}${checks.join("\n")}`);
  });
});

describe.each([
  ["cusolverDn.h", "CUSOLVER_STATUS_", solverOfHandles],
  ["cublas_v2.h", "CUBLAS_STATUS_", blasOfHandles],
  ["cusparse.h", "CUSPARSE_STATUS_", sparseOfHandles],
] as const)("%s", (header, prefix, kind) => {
  const source = `#include <${header}>\n${prelude}`;

  it.skipIf(!has(header))("declares every function that is called, with the arguments that it is called with", () => {
    const { functions: all, descriptors } = kind.table;
    const listed = all.map(({ name, arguments: taken }) => [name, taken.map(passed)] as const);
    const ended = Object.values(descriptors).map(({ destroy }) => [destroy, ["memory"]] as const);
    const others = functions(handleSignatures(kind));
    compile(`${source}${others}\n${functions(Object.fromEntries([...listed, ...ended]))}`);
  });

  it.skipIf(!has(header))("has the numbers that are looked at", () => {
    compile(`${source}${equalities(prefix, { ...kind.statuses })}`);
  });
});

describe.skipIf(!has("curand.h"))("curand.h", () => {
  it("declares every function of cuRAND that is called, with the arguments that it is called with, and its numbers", () => {
    const listed = rand.functions.map(({ name, arguments: all }) => [
      name,
      all.filter(({ kind }) => kind !== "stream").map(passed),
    ]);
    const beside = { curandDestroyGenerator: ["memory"], ...randSignatures };
    const source = `#include <curand.h>\n${prelude}${functions({ ...beside, ...Object.fromEntries(listed) })}`;
    compile(`${source}\n${equalities("CURAND_STATUS_", RandStatus)}`);
  });
});

describe.skipIf(!has("cufftXt.h"))("cufftXt.h", () => {
  it("declares every function of cuFFT that is called, with the arguments that it is called with, and its numbers", () => {
    // A plan is a number, and goes by its address where it is made.
    const passedHere = (argument: LibraryArgument): string =>
      argument.kind === "descriptor" && argument.role !== "new" ? "i32" : passed(argument);
    const listed = fft.functions.map(({ name, arguments: all }) => [
      name,
      all.filter(({ kind, by }) => kind !== "stream" && by === undefined).map(passedHere),
    ]);
    const beside = { cufftSetWorkArea: ["i32", "u64"], cufftDestroy: ["i32"], ...fftSignatures };
    compile(
      `#include <cufftXt.h>\n${prelude}${functions({ ...beside, ...Object.fromEntries(listed) })}\n${equalities("CUFFT_", FftStatus)}`,
    );
  });
});

describe.skipIf(!has("cublasLt.h"))("cublasLt.h", () => {
  const products = [
    ["f32", "32F", "32F"],
    ["tf32", "32F_FAST_TF32", "32F"],
    ["f16", "32F", "16F"],
    ["bf16", "32F", "16BF"],
  ] as const;

  it("declares the functions, numbers and structs of cuBLASLt that are used", () => {
    compile(
      [
        `#include <cublasLt.h>\n${prelude}${functions(cublasLtSignatures)}`,
        equalities("CUBLAS_STATUS_", Status),
        equalities("CUBLASLT_MATMUL_DESC_", DescAttribute),
        equalities("CUBLASLT_MATRIX_LAYOUT_", LayoutAttribute),
        equalities("CUBLASLT_MATMUL_PREF_", {
          MAX_WORKSPACE_BYTES: PreferenceAttribute.MAX_WORKSPACE_BYTES,
          MIN_ALIGNMENT_A_BYTES: PreferenceAttribute.MIN_ALIGNMENT_A,
          MIN_ALIGNMENT_B_BYTES: PreferenceAttribute.MIN_ALIGNMENT_A + 1,
          MIN_ALIGNMENT_C_BYTES: PreferenceAttribute.MIN_ALIGNMENT_A + 2,
          MIN_ALIGNMENT_D_BYTES: PreferenceAttribute.MIN_ALIGNMENT_A + 3,
        }),
        ...products.map(([type, name]) => equalities("CUBLAS_COMPUTE_", { [name]: productTypes[type].compute })),
        ...products.map(([type, , name]) => equalities("CUDA_R_", { [name]: productTypes[type].data })),
        equalities("", { "sizeof(cublasLtMatmulHeuristicResult_t)": RESULT_BYTES }),
        equalities("", { "offsetof(cublasLtMatmulHeuristicResult_t, state)": RESULT_STATE_AT }),
        equalities("", { "offsetof(cublasLtMatmulHeuristicResult_t, algo)": 0 }),
      ].join("\n"),
    );
  });
});

const absent = [
  "cuda.h",
  "nvml.h",
  "nvrtc.h",
  "cublasLt.h",
  "cudnn.h",
  "cusolverDn.h",
  "cufftXt.h",
  "curand.h",
  "cusparse.h",
].filter((header) => !has(header));
if (absent.length > 0) {
  const why = compiles ? "they are in no toolkit here" : "there is no C++ compiler";
  console.warn(`Skipped: [${absent}] cannot be compared with, for ${why}.`);
}
