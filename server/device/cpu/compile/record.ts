/** Where a thread keeps its registers while it waits: one slot per register that outlives some suspension. */
import { type Register, typeBytes } from "../ptx/program.ts";
import type { Region } from "./regions.ts";

export interface RecordPlan {
  readonly slots: ReadonlyMap<Register, number>;
  readonly bytes: number;
}

export function planRecord(regions: readonly Region[]): RecordPlan {
  const registers = new Set(regions.flatMap(({ live }) => live));
  const slots = new Map<Register, number>();
  let bytes = 0;
  // Wide registers first, so that every slot is aligned.
  for (const wide of [true, false]) {
    for (const register of registers) {
      if (typeBytes[register.type] >= 8 !== wide) continue;
      slots.set(register, bytes);
      bytes += wide ? 8 : 4;
    }
  }
  return { slots, bytes: Math.ceil(bytes / 16) * 16 };
}
