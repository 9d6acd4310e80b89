/** PTX text with the kernels that the stand-in knows by name. The bodies are never run; the declarations are real. */
export const knownKernels = `//
.version 8.0
.target sm_75
.address_size 64

.visible .global .align 4 .u32 counter = 7;
.global .align 8 .b8 unused[64];

.visible .entry vector_add(
	.param .u32 vector_add_param_0,
	.param .u64 vector_add_param_1,
	.param .u64 vector_add_param_2,
	.param .u64 vector_add_param_3
)
{
	ret;
}
.visible .entry saxpy(
	.param .u32 n,
	.param .f32 a,
	.param .u64 .ptr .global .align 16 x,
	.param .u64 .ptr .global .align 16 y
)
{
	ret;
}
.visible .entry store_at(.param .u64 address, .param .u32 value) { ret; }
.visible .entry endless(.param .u64 flag) { ret; }
.visible .entry pause_for(.param .u32 microseconds) { ret; }
.visible .entry trap() { trap; ret; }
.visible .entry empty() { ret; }
.visible .entry narrow() { ret; }
.visible .entry greedy() { ret; }
.visible .entry wants_shared(.param .align 8 .b8 options[24], .param .s16 small) { ret; }
`;

/** A module whose kernel prints. */
export const printingKernels = `.version 8.0
.target sm_75
.address_size 64
.extern .func (.param .b32 func_retval0) vprintf(.param .b64 p0, .param .b64 p1);
.visible .entry print(.param .u32 number) { ret; }
`;

/** A kernel that fetches through a texture: fetch_texel(texture, x, y, out) writes four words. */
export const fetchingKernel = `.version 8.0
.target sm_75
.address_size 64
.visible .entry fetch_texel(.param .u64 texture, .param .u32 x, .param .u32 y, .param .u64 out) { ret; }
`;

/** Kernels on arrays: fetch_at(texture, x, y, z, level, out) writes four words, store_texel(surface, x, y, z, value) stores one texel. */
export const arrayKernels = `.version 8.0
.target sm_75
.address_size 64
.visible .entry fetch_at(.param .u64 texture, .param .u32 x, .param .u32 y, .param .u32 z, .param .u32 level, .param .u64 out) { ret; }
.visible .entry store_texel(.param .u64 surface, .param .u32 x, .param .u32 y, .param .u32 z, .param .u32 value) { ret; }
.visible .entry fetch_texel(.param .u64 texture, .param .u32 x, .param .u32 y, .param .u64 out) { ret; }
`;
