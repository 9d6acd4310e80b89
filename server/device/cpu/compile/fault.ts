/** Kinds of faults as compiled kernels report them. */
export const Fault = { ADDRESS: 0, TRAP: 1, STACK: 2 } as const;
