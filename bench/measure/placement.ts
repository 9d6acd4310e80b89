/** The two ways in which client and server share this machine's cores, and what they are called. */
import { availableParallelism } from "node:os";
import { canPin, type Placement } from "./tool.ts";

export interface Layout {
  readonly name: string;
  readonly server: Placement;
  readonly client: Placement;
}

export const oneCore: Layout = { name: "one core", server: [0], client: [0] };
export const acrossCores: Layout = { name: "across cores", server: [0], client: [1] };
const unpinned: Layout = { name: "not pinned", server: undefined, client: undefined };

/** Those that can be had here: both, or one that is left to the system. */
export const layouts = (): readonly Layout[] => (canPin() ? [oneCore, acrossCores] : [unpinned]);

/** Client and server on cores of their own; with many cores, the server has all but the client's. */
export function apart(): Layout {
  if (!canPin()) return unpinned;
  const others = Array.from({ length: availableParallelism() - 1 }, (_, index) => index + 1);
  return { name: "apart", server: [0], client: others };
}
