/** What the slice tells a worker beside launches: plain data and WebAssembly modules. */

import type { SurfaceOptions, TextureOptions } from "../../texel.ts";
import type { Suspension } from "../emit/warp.ts";
import type { MemoryLayout } from "./layout.ts";

/** What a worker is born with. */
export interface WorkerSetup {
  readonly memory: WebAssembly.Memory;
  readonly control: SharedArrayBuffer;
  readonly layout: MemoryLayout;
  readonly worker: number;
}

export type WorkerMessage =
  | {
      readonly kind: "kernel";
      readonly id: number;
      readonly module: WebAssembly.Module;
      readonly suspensions: readonly Suspension[];
    }
  | { readonly kind: "drop"; readonly id: number }
  /** `object` is what kernels call it by. */
  | { readonly kind: "texture"; readonly object: number; readonly options: TextureOptions }
  | { readonly kind: "surface"; readonly object: number; readonly options: SurfaceOptions }
  | { readonly kind: "drop-image"; readonly object: number };
