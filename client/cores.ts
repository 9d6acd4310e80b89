/** The processors that this process may use beside its own work: to stay awake while it waits, and to help with large copies. */
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { usableProcessors } from "../shared/processors.ts";
import { AWAKE_VARIABLE, coresToUse } from "../shared/wakefulness.ts";

let counted: number | undefined;

/** By what the user says, and else the system, as it was at first. @throws SluiceError BAD_ARGUMENT where the user's words mean nothing */
export function usableCores(): number {
  counted ??= usableProcessors({
    available: availableParallelism(),
    read: (path) => readFileSync(path, "utf8"),
  });
  return coresToUse(process.env[AWAKE_VARIABLE], counted);
}
