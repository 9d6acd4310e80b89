/** Holds the table of driver functions and the numbers against cuda.h, where a toolkit is installed. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { CUresult, DeviceAttributeNumber, FunctionAttribute, JitOption } from "../../server/device/cuda/constants.ts";
import { cudaSignatures } from "../../server/device/cuda/library.ts";

/** cuda.h of an installed toolkit, newest first. */
function findHeader(): string | undefined {
  const roots = [process.env["CUDA_HOME"], process.env["CUDA_PATH"], "/usr/local/cuda"].filter(
    (root) => root !== undefined,
  );
  const versions = existsSync("/usr/local") ? readdirSync("/usr/local").filter((name) => name.startsWith("cuda-")) : [];
  roots.push(
    ...versions
      .sort()
      .reverse()
      .map((name) => join("/usr/local", name)),
  );
  return roots.map((root) => join(root, "include", "cuda.h")).find((path) => existsSync(path));
}

const header = findHeader();

/** Kinds that fit a parameter of a C prototype. */
function kindsFor(parameter: string): string[] {
  const type = parameter.replace(/\b\w+\s*$/, "").trim();
  if (/^const char \*$/.test(type)) return ["text"];
  // Pointers into memory of ours go as views; pointers to page-locked memory, whose address is known, as numbers.
  if (type.includes("*")) return /void \*$/.test(type) ? ["memory", "u64"] : ["memory"];
  const known: Record<string, string> = {
    int: "i32",
    "unsigned int": "u32",
    "unsigned short": "u16",
    "unsigned char": "u8",
    "unsigned long long": "u64",
    size_t: "u64",
    CUdevice: "i32",
    CUresult: "i32",
  };
  if (known[type] !== undefined) return [known[type]];
  if (/^CU(limit|device_attribute|function_attribute|jitInputType|memAllocationGranularity_flags)$/.test(type))
    return ["i32"];
  return ["u64"];
}

describe.skipIf(header === undefined)("the table of the driver's functions", () => {
  const text = header === undefined ? "" : readFileSync(header, "utf8");
  const versioned = new Map(
    [...text.matchAll(/^\s*#define (cu\w+)\s+(?:__CUDA_API_PT[SD][ZS]\()?(cu\w+?)\)?\s*$/gm)].map(([, plain, real]) => [
      real!,
      plain!,
    ]),
  );

  it.each(Object.entries(cudaSignatures))("%s agrees with cuda.h", (name, kinds) => {
    const plain = versioned.get(name) ?? name;
    const prototype = new RegExp(`CUresult CUDAAPI\\s+${plain}\\(([^)]*)\\)`).exec(text);
    expect(prototype, `cuda.h declares ${plain}`).not.toBeNull();
    const list = prototype![1]!.replace(/\s+/g, " ").trim();
    const parameters =
      list === "void" ? [] : list.split(",").map((parameter) => parameter.trim().replace(/\*(\w)/, "* $1"));
    expect(kinds.length, list).toBe(parameters.length);
    kinds.forEach((kind, index) => {
      expect(kindsFor(parameters[index]!), `${name}: ${parameters[index]}`).toContain(kind);
    });
  });
});

describe.skipIf(header === undefined)("the numbers of the driver", () => {
  const text = header === undefined ? "" : readFileSync(header, "utf8");
  const enumerators = new Map(
    [...text.matchAll(/^\s*(CU\w+)\s*=\s*(0x[0-9a-f]+|\d+)\b/gim)].map(([, name, value]) => [name!, Number(value)]),
  );

  it.each([
    ["CUDA_ERROR_", CUresult],
    ["CU_DEVICE_ATTRIBUTE_", DeviceAttributeNumber],
    ["CU_FUNC_ATTRIBUTE_", FunctionAttribute],
    ["CU_JIT_", JitOption],
  ] as [string, Record<string, number>][])("%s agree with cuda.h", (prefix, table) => {
    for (const [name, value] of Object.entries(table)) {
      if (name === "SUCCESS") expect(enumerators.get("CUDA_SUCCESS")).toBe(value);
      else expect(enumerators.get(`${prefix}${name}`), name).toBe(value);
    }
  });
});

if (header === undefined) console.warn("Skipped: there is no cuda.h to compare with.");
