/** The processor's cores that this process may use beside its own work: to stay awake while it waits, and to help with large copies. */
import { availableParallelism } from "node:os";
import { AWAKE_VARIABLE, coresToUse } from "../shared/wakefulness.ts";

/** By what the user says, and else the system. @throws SluiceError BAD_ARGUMENT where the user's words mean nothing */
export const usableCores = (): number => coresToUse(process.env[AWAKE_VARIABLE], availableParallelism());
