/** Pushes special registers. */
import type { Instruction } from "../ptx/program.ts";
import { unsupported } from "../ptx/program.ts";
import { Context } from "../run/layout.ts";
import type { Emitter } from "./emitter.ts";

const axes = { x: 0, y: 1, z: 2 } as const;

/** Word of the context that a register is read from. */
const words: Record<string, number> = {
  smid: Context.WORKER,
  nsmid: Context.WORKERS,
  dynamic_smem_size: Context.DYNAMIC_SHARED_BYTES,
  total_smem_size: Context.SHARED_BYTES,
  aggr_smem_size: Context.SHARED_BYTES,
  // Where the blocks of a cooperative launch meet: the high and the low half of an address, as nvcc's code has it.
  envreg1: Context.MEETING_PLACE + 4,
  envreg2: Context.MEETING_PLACE,
};

const vectors: Record<string, number> = {
  ntid: Context.BLOCK_SIZE,
  nctaid: Context.GRID_SIZE,
  ctaid: Context.BLOCK_INDEX,
  // Each block is a cluster of its own.
  clusterid: Context.BLOCK_INDEX,
  nclusterid: Context.GRID_SIZE,
};

/** Pushes the special register with this name, with the per cent sign. */
export function pushSpecial(emitter: Emitter, name: string, at: Instruction): void {
  const { code, frame } = emitter;
  const [register = "", axis = ""] = name.slice(1).split(".");
  const context = (offset: number) => code.get(frame.context).access("i32.load", offset);
  const vector = vectors[register];
  const word = words[register];
  if (register === "tid") code.get(frame.position![axes[axis as keyof typeof axes]]);
  else if (vector !== undefined) context(vector + 4 * axes[axis as keyof typeof axes]);
  else if (word !== undefined) context(word);
  else if (register === "laneid") code.get(frame.thread).i32(31).op("i32.and");
  else if (register === "warpid") code.get(frame.thread).i32(5).op("i32.shr_u");
  else if (register === "nwarpid") {
    for (const offset of [0, 4, 8]) context(Context.BLOCK_SIZE + offset);
    code.op("i32.mul").op("i32.mul").i32(31).op("i32.add").i32(5).op("i32.shr_u");
  } else if (register === "gridid") code.get(frame.context).access("i64.load", Context.GRID_ID);
  else if (register.startsWith("lanemask_")) pushLaneMask(emitter, register.slice(9));
  else if (register === "clock" || register === "globaltimer_lo") emitter.import("clock").op("i32.wrap_i64");
  else if (register === "clock_hi" || register === "globaltimer_hi") {
    emitter.import("clock");
    code.i64(32n).op("i64.shr_u").op("i32.wrap_i64");
  } else if (register === "clock64" || register === "globaltimer") emitter.import("clock");
  else if (/^(envreg|pm|reserved_smem)|^(cluster_ctaid|cluster_ctarank|is_explicit_cluster)$/.test(register))
    pushZeroOf(emitter, name);
  else if (register === "current_graph_exec") code.i64(0n);
  else if (register === "cluster_nctaid" || register === "cluster_nctarank") code.i32(1);
  else throw unsupported(at, `the special register [${name}]`);
}

/** What this device has no number for is zero: performance counters, the environment, the system's shared memory, the place in a cluster of one. */
function pushZeroOf({ code }: Emitter, name: string): void {
  if (name.endsWith("_64")) code.i64(0n);
  else code.i32(0);
}

function pushLaneMask({ code, frame }: Emitter, kind: string): void {
  // `1 << lane`, `-1 << lane` and `-2 << lane` give eq, ge and gt; the others are complements. Shifts take the count modulo 32.
  const first = { eq: 1, ge: -1, lt: -1, gt: -2, le: -2 }[kind] ?? 0;
  code.i32(first).get(frame.thread).op("i32.shl");
  if (kind === "lt" || kind === "le") code.i32(-1).op("i32.xor");
}
