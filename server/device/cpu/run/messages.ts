/** What the slice tells a worker beside launches: plain data and WebAssembly modules. */

import type { MessagePort } from "node:worker_threads";
import type { SurfaceOptions, TextureOptions } from "../../texel.ts";
import type { Suspension } from "../emit/warp.ts";
import type { MemoryLayout } from "./layout.ts";

/** What a worker is born with: a word that becomes 1 when it has been sent its setup. */
export interface WorkerBirth {
  readonly bell: Int32Array<SharedArrayBuffer>;
}

/** What a worker needs to know to work for a slice. */
export interface WorkerSetup {
  readonly memory: WebAssembly.Memory;
  readonly control: SharedArrayBuffer;
  readonly layout: MemoryLayout;
  readonly worker: number;
  /** Where it hears the rest. */
  readonly port: MessagePort;
}

export type WorkerMessage =
  | {
      readonly kind: "kernel";
      readonly id: number;
      readonly module: WebAssembly.Module;
      readonly suspensions: readonly Suspension[];
      readonly threadBytes: number;
      readonly isUniform: boolean;
    }
  | { readonly kind: "drop"; readonly id: number }
  /** `object` is what kernels call it by. */
  | { readonly kind: "texture"; readonly object: number; readonly options: TextureOptions }
  | { readonly kind: "surface"; readonly object: number; readonly options: SurfaceOptions }
  | { readonly kind: "drop-image"; readonly object: number };
