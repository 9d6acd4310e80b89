/**
 * Finds NVIDIA's libraries beside the driver, cuBLASLt, NVRTC, cuDNN and others: by the system's loader, then where toolkits and Python's packages put them.
 * `SLUICE_CUDA_PATH` names further folders, which come first, with colons between them. A library of a newer major version than the driver does not work with it.
 */
import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import type { LibraryHandle } from "koffi";
import { SluiceError } from "../../../shared/errors.ts";
import { bindIfThere, openLibrary } from "./symbols.ts";

const MAJOR_MIN = 12;

/** Folders that match a path in which a part may be `*` or end with it, newest version first. */
function matching(path: string): string[] {
  let found = ["/"];
  for (const part of path.split("/").filter((each) => each !== "")) {
    if (part.includes("*")) found = found.flatMap((folder) => entries(folder, part).map((name) => join(folder, name)));
    else found = found.map((folder) => join(folder, part));
  }
  return found.filter((folder) => existsSync(folder));
}

function entries(folder: string, pattern: string): string[] {
  try {
    const start = pattern.slice(0, pattern.indexOf("*"));
    const names = readdirSync(folder).filter((name) => name.startsWith(start));
    return names.sort((a, b) => b.localeCompare(a, "en", { numeric: true }));
  } catch {
    return [];
  }
}

const listed = (value: string | undefined): string[] => (value ?? "").split(":").filter((path) => path !== "");

/** Where they usually are. */
function libraryFolders(): string[] {
  const { CUDA_HOME, CUDA_PATH, VIRTUAL_ENV, CONDA_PREFIX } = process.env;
  const toolkits = [CUDA_HOME, CUDA_PATH, "/usr/local/cuda"].flatMap((root) => (root ? [join(root, "lib64")] : []));
  const pythons = [VIRTUAL_ENV, CONDA_PREFIX, "/opt/conda", "/usr/local", "/usr"].flatMap((root) =>
    ["site-packages", "dist-packages"].flatMap((packages) =>
      root ? matching(`${root}/lib/python3*/${packages}/nvidia/*/lib`) : [],
    ),
  );
  const conda = CONDA_PREFIX ? [join(CONDA_PREFIX, "lib")] : [];
  return [
    ...toolkits,
    ...matching("/usr/local/cuda-*/lib64"),
    ...conda,
    ...pythons,
    ...matching("/usr/lib/python3/dist-packages/nvidia/*/lib"),
  ];
}

export interface ToolkitLibrary {
  readonly handle: LibraryHandle;
  /** As it was opened: a path, or a name that the system's loader knows. */
  readonly path: string;
}

/** Names with a major version that works with a driver, the newest first. */
export const libraryNames = (name: string, driverVersion: number): string[] => {
  const newest = Math.max(MAJOR_MIN, Math.floor(driverVersion / 1000));
  return Array.from({ length: newest - MAJOR_MIN + 1 }, (_, index) => `lib${name}.so.${newest - index}`);
};

/**
 * Opens a library such as `cublasLt`; undefined where there is none.
 * @param named path or name to open instead of all that is searched
 * @param majors the major versions in its name that will do, the newest first, where they are not the driver's
 */
export function openToolkitLibrary(
  name: string,
  {
    named,
    driverVersion,
    majors,
  }: {
    readonly named: string | undefined;
    readonly driverVersion: number;
    readonly majors?: readonly number[];
  },
): ToolkitLibrary | undefined {
  if (named) return opened(named);
  const [first, others] = [listed(process.env["SLUICE_CUDA_PATH"]), libraryFolders()];
  const files = majors?.map((major) => `lib${name}.so.${major}`) ?? libraryNames(name, driverVersion);
  for (const file of files) {
    const within = (folders: readonly string[]): string[] => folders.map((folder) => join(folder, file));
    const paths = [...within(first), file, ...within(others)];
    for (const path of paths) {
      if (path !== file && !existsSync(path)) continue;
      const library = opened(path);
      if (library !== undefined) return library;
    }
  }
  return undefined;
}

/**
 * Opens a library whose major version follows that of CUDA which it is for, as cuFFT's and cuSOLVER's do by one behind it.
 * @param library how it is called, its file, the variable that names another one, how far it is behind, and the function that tells a part of its version
 * @throws SluiceError UNSUPPORTED where the server has none, or none that works with the driver
 */
export function openBehind(
  {
    title,
    name,
    variable,
    behind,
    major: only,
    getProperty,
  }: {
    readonly title: string;
    readonly name: string;
    readonly variable: string;
    readonly behind: number;
    readonly major?: number | undefined;
    readonly getProperty: string;
  },
  driverVersion: number,
): ToolkitLibrary & { readonly version: number } {
  const named = process.env[variable];
  const newest = only ?? Math.max(MAJOR_MIN, Math.floor(driverVersion / 1000)) - behind;
  const count = only === undefined ? newest + behind - MAJOR_MIN + 1 : 1;
  const majors = Array.from({ length: count }, (_, index) => newest - index);
  const library = openToolkitLibrary(name, { named, driverVersion, majors });
  if (library === undefined) {
    const file = named || `lib${name}.so.${newest}`;
    throw new SluiceError("UNSUPPORTED", `This server has no ${title} [${file}]; have its admin install it.`);
  }
  const tell = bindIfThere(library.handle, getProperty, ["int32_t", "void *"]);
  const [major = 0, minor = 0, patch = 0] = [0, 1, 2].map((part) => {
    const told = new Int32Array(1);
    tell?.(part, told);
    return told[0]!;
  });
  const version = major * 1000 + minor * 100 + patch;
  if (Math.floor(version / 1000) <= newest) return { ...library, version };
  const versions = `has the version [${version}], and the driver is for CUDA [${driverVersion}]`;
  throw new SluiceError("UNSUPPORTED", `The ${title} library [${library.path}] ${versions}.`);
}

function opened(path: string): ToolkitLibrary | undefined {
  const library = openLibrary(path);
  return "handle" in library ? { handle: library.handle, path } : undefined;
}

/** Opens the files beside a library whose names begin so, for it opens them itself later and might not find them. */
export function openBeside({ path }: ToolkitLibrary, start: string): void {
  if (!path.includes("/")) return;
  for (const name of entries(dirname(path), `${start}*`)) openLibrary(join(dirname(path), name));
}

/** The folders of the toolkit's headers that belong to a library, none where they are not found: their own, and that of the C++ library. */
export function includeFolders({ path }: ToolkitLibrary): string[] {
  const named = process.env["SLUICE_CUDA_INCLUDE"];
  const beside = path.includes("/")
    ? [join(dirname(path), "../include"), join(dirname(path), "../../cuda_runtime/include")]
    : [];
  const { CUDA_HOME, CUDA_PATH } = process.env;
  const toolkits = [CUDA_HOME, CUDA_PATH, "/usr/local/cuda"].flatMap((root) => (root ? [join(root, "include")] : []));
  const places = named ? [named] : [...beside, ...toolkits];
  const own = places.find((folder) => existsSync(join(folder, "cuda_fp16.h")));
  if (own === undefined) return [];
  // From CUDA 13 on cooperative_groups.h is built on that, which of Python's packages is one of its own.
  const library = [own, ...places].map((folder) => join(folder, "cccl")).find((folder) => existsSync(folder));
  return library === undefined ? [own] : [own, library];
}
