/**
 * Where counts of bytes begin that may pass 2 GiB while a hot path adds to them. V8 keeps a field that began with a small integer as one; when it
 * outgrows that, all compiled code that touches its object is thrown away, which costs a large copy's first seconds a tenth of the processor.
 */

/** A zero that V8 keeps as a floating-point number from the start; add 0 where the sign could be seen. */
export const NO_BYTES = -0;
