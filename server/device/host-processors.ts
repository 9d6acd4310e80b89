/** How many processors this process may use, as the system said when it was first asked. */
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { usableProcessors } from "../../shared/processors.ts";

let counted: number | undefined;

/** Not rounded: a quota may be half of one. */
export function hostProcessors(): number {
  counted ??= usableProcessors({
    available: availableParallelism(),
    read: (path) => readFileSync(path, "utf8"),
  });
  return counted;
}
