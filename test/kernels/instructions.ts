/** The list of PTX instructions, instructions.txt. */
import { readFileSync } from "node:fs";

export interface InstructionForm {
  readonly runs: boolean;
  /** Least architecture, as `sm_` has it. */
  readonly target: string;
  readonly code: string;
}

export const instructionForms: readonly InstructionForm[] = readFileSync(
  new URL("instructions.txt", import.meta.url),
  "utf8",
)
  .split("\n")
  .filter((line) => line !== "" && !line.startsWith("#"))
  .map((line) => {
    const [verdict = "", target = "", ...code] = line.split(" ");
    return { runs: verdict === "runs", target, code: code.join(" ") };
  });

/** Kernels that hold one form each. */
export const moduleOf = (target: string, list: readonly InstructionForm[]): string => `.version 9.0
.target sm_${target}
.address_size 64
.global .align 16 .b8 g[256];
${list
  .map(
    ({ code }, index) => `.visible .entry k${index}(.param .u64 p) {
.reg .pred %p<8>; .reg .b16 %h<16>; .reg .b32 %r<32>; .reg .b64 %rd<32>; .reg .f32 %f<64>; .reg .f64 %fd<32>; .reg .b128 %q<8>; .reg .b8 %b<4>;
.shared .align 16 .b8 s[4096]; .local .align 16 .b8 l[64];
${code}
ret;
}`,
  )
  .join("\n")}
`;
