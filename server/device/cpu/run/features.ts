/** Finds out once what this machine's WebAssembly can do beyond the standard of Node.js 20. */
import v8 from "node:v8";
import type { Features } from "../compile/unit.ts";
import { Code } from "../wasm/code.ts";
import { ModuleWriter } from "../wasm/module.ts";

let known: Features | undefined;

export function probeFeatures(): Features {
  known ??= { fusedMultiplyAdd: isFused() };
  return known;
}

/** A module whose function `f` is the relaxed multiply-add of the kind. */
function probe(kind: "f32" | "f64"): Uint8Array<ArrayBuffer> {
  const shape = kind === "f32" ? "f32x4" : "f64x2";
  const code = new Code([kind, kind, kind], [kind]);
  for (const param of [0, 1, 2]) code.get(param).op(`${shape}.splat`);
  code.op(`${shape}.relaxed_madd`).lane(`${shape}.extract_lane`, 0);
  const writer = new ModuleWriter(1);
  const index = writer.declare({ params: code.params, results: code.results });
  writer.define(index, code);
  writer.export("f", index);
  return writer.finish();
}

/** `relaxed_madd` may round once or twice; only a machine that rounds once helps. */
function isFused(): boolean {
  if (!WebAssembly.validate(probe("f32"))) {
    // V8 before version 12 has it behind a flag; later ones know no such flag and need none.
    if (Number(process.versions.v8.split(".")[0]) >= 12) return false;
    v8.setFlagsFromString("--experimental-wasm-relaxed-simd");
    if (!WebAssembly.validate(probe("f32"))) return false;
  }
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const run = (kind: "f32" | "f64", x: number): number => {
    const instance = new WebAssembly.Instance(new WebAssembly.Module(probe(kind)), { env: { memory } });
    const multiplyAdd = instance.exports["f"] as (a: number, b: number, c: number) => number;
    return multiplyAdd(x, x, kind === "f32" ? -Math.fround(x * x) : -(x * x));
  };
  // The rounding error of a square is what a fused operation leaves, and 0 what two roundings leave.
  return run("f32", 1 + 2 ** -12) === 2 ** -24 && run("f64", 1 + 2 ** -27) === 2 ** -54;
}
