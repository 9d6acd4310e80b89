/** The special registers that this device has, with their types. */
import type { PtxType } from "./program.ts";

const withAxes = (name: string): [string, PtxType][] => ["x", "y", "z"].map((axis) => [`${name}.${axis}`, "u32"]);

/** Name without its per cent sign to type. */
const registers = new Map<string, PtxType>([
  ...withAxes("tid"),
  ...withAxes("ntid"),
  ...withAxes("ctaid"),
  ...withAxes("nctaid"),
  ["laneid", "u32"],
  ["warpid", "u32"],
  ["nwarpid", "u32"],
  ["smid", "u32"],
  ["nsmid", "u32"],
  ["gridid", "u64"],
  ...Array.from({ length: 32 }, (_, index): [string, PtxType] => [`envreg${index}`, "u32"]),
  ...withAxes("clusterid"),
  ...withAxes("nclusterid"),
  ...withAxes("cluster_ctaid"),
  ...withAxes("cluster_nctaid"),
  ["cluster_ctarank", "u32"],
  ["cluster_nctarank", "u32"],
  ["is_explicit_cluster", "pred"],
  ["current_graph_exec", "u64"],
  ...Array.from({ length: 8 }, (_, index): [string, PtxType] => [`pm${index}`, "u32"]),
  ...Array.from({ length: 8 }, (_, index): [string, PtxType] => [`pm${index}_64`, "u64"]),
  ["reserved_smem_offset_begin", "u32"],
  ["reserved_smem_offset_end", "u32"],
  ["reserved_smem_offset_cap", "u32"],
  ["reserved_smem_offset_0", "u32"],
  ["reserved_smem_offset_1", "u32"],
  ["aggr_smem_size", "u32"],
  ["lanemask_eq", "u32"],
  ["lanemask_le", "u32"],
  ["lanemask_lt", "u32"],
  ["lanemask_ge", "u32"],
  ["lanemask_gt", "u32"],
  ["clock", "u32"],
  ["clock_hi", "u32"],
  ["clock64", "u64"],
  ["globaltimer", "u64"],
  ["globaltimer_lo", "u32"],
  ["globaltimer_hi", "u32"],
  ["dynamic_smem_size", "u32"],
  ["total_smem_size", "u32"],
]);

export const isSpecialRegister = (name: string): boolean => registers.has(name.slice(1));

/** The type of a special register by its name with the per cent sign. */
export const specialType = (name: string): PtxType => registers.get(name.slice(1)) ?? "u32";
