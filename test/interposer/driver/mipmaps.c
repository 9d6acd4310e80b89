/*
 * Arrays of several levels of detail by the driver API: their bytes, their levels, what PTX asks of textures over them, handles that are none
 * any more, wishes that pass every bound, and contexts that end with them.
 */
#include "driver.h"

#include "../../../client/interposer/driver/cuda-image-api.h"

enum { SIDE = 16, LEVELS = 5 };

/* k(texture, out): of thread i the texel in the middle at level i, without one, with changes of 2^i texels, the number of levels, the width of level i. */
static const char ptx[] = PTX_HEADER
    ".visible .entry k(.param .u64 t, .param .u64 out)\n{\n.reg .b32 %r<24>;\n.reg .f32 %f<8>;\n.reg .b64 %d<4>;\n"
    "ld.param.u64 %d0, [t];\nld.param.u64 %d1, [out];\ncvta.to.global.u64 %d1, %d1;\nmov.u32 %r0, %tid.x;\ncvt.rn.f32.u32 %f0, %r0;\n"
    "mov.f32 %f1, 0f3F000000;\nex2.approx.f32 %f2, %f0;\nmul.f32 %f2, %f2, 0f3D800000;\nmov.f32 %f3, 0f00000000;\n"
    "tex.level.2d.v4.u32.f32 {%r1, %r10, %r11, %r12}, [%d0, {%f1, %f1}], %f0;\n"
    "tex.base.2d.v4.u32.f32 {%r2, %r10, %r11, %r12}, [%d0, {%f1, %f1}];\n"
    "tex.grad.2d.v4.u32.f32 {%r3, %r10, %r11, %r12}, [%d0, {%f1, %f1}], {%f2, %f3}, {%f3, %f3};\n"
    "txq.num_mipmap_levels.b32 %r4, [%d0];\n"
    "mul.wide.u32 %d2, %r0, 16;\nadd.s64 %d1, %d1, %d2;\nst.global.v4.u32 [%d1], {%r1, %r2, %r3, %r4};\nret;\n}\n";

static CUmipmappedArray make(size_t width, size_t height, size_t depth, unsigned levels, unsigned flags) {
    CUmipmappedArray array;
    CUDA_ARRAY3D_DESCRIPTOR shape = {width, height, depth, CU_FORMAT_UINT32, 1, flags};
    CHECK(cuMipmappedArrayCreate(&array, &shape, levels));
    return array;
}

static CUarray level_of(CUmipmappedArray array, unsigned number) {
    CUarray level;
    CHECK(cuMipmappedArrayGetLevel(&level, array, number));
    return level;
}

static void fill(CUarray level, unsigned side, unsigned value) {
    unsigned data[SIDE * SIDE];
    for (unsigned i = 0; i < side * side; i++) data[i] = value;
    CUDA_MEMCPY2D copy = {.src_type = CU_MEMORY_HOST, .src_host = data, .src_pitch = side * 4, .dst_type = CU_MEMORY_ARRAY, .dst_array = level,
                          .width_bytes = side * 4, .height = side};
    CHECK(cuMemcpy2D_v2(&copy));
}

static CUDA_RESOURCE_DESC resource_of(CUmipmappedArray array) {
    CUDA_RESOURCE_DESC resource;
    memset(&resource, 0, sizeof resource);
    resource.type = CU_RESOURCE_MIPMAPPED_ARRAY;
    resource.of.mipmapped = array;
    return resource;
}

static CUDA_TEXTURE_DESC reading(unsigned flags) {
    CUDA_TEXTURE_DESC texture;
    memset(&texture, 0, sizeof texture);
    texture.flags = CU_TEXTURE_NORMALIZED | flags;
    texture.mipmap_most = 100;
    return texture;
}

static void in_kernels(void) {
    CUmodule module;
    CUfunction function = load(ptx, "k", &module);
    CUmipmappedArray array = make(SIDE, SIDE, 0, LEVELS, 0);
    CUDA_RESOURCE_DESC resource = resource_of(array), again;
    CUDA_TEXTURE_DESC texture = reading(CU_TEXTURE_READ_AS_INTEGER);
    CUtexObject t;
    CUdeviceptr out;
    unsigned got[8][4];
    for (unsigned i = 0; i < LEVELS; i++) fill(level_of(array, i), SIDE >> i, 100 + i);
    CHECK(cuTexObjectCreate(&t, &resource, &texture, NULL));
    CHECK(cuTexObjectGetResourceDesc(&again, t));
    EXPECT(again.type == CU_RESOURCE_MIPMAPPED_ARRAY && again.of.mipmapped == array);
    CHECK(cuMemAlloc_v2(&out, sizeof got));
    void *params[] = {&t, &out};
    CHECK(launch(function, 1, 8, NULL, params));
    CHECK(cuMemcpyDtoH_v2(got, out, sizeof got));
    for (unsigned i = 0; i < 8; i++) {
        unsigned level = i < LEVELS ? i : LEVELS - 1;
        EXPECT(got[i][0] == 100 + level && got[i][1] == 100 && got[i][2] == 100 + level && got[i][3] == LEVELS);
    }
    CHECK(cuTexObjectDestroy(t));

    CUDA_RESOURCE_VIEW_DESC view = {.format = 0x0d, .width = SIDE, .height = SIDE, .first_level = 1, .last_level = 2};
    texture.mipmap_bias = 1;
    CHECK(cuTexObjectCreate(&t, &resource, &texture, &view));
    CHECK(launch(function, 1, 8, NULL, params));
    CHECK(cuMemcpyDtoH_v2(got, out, sizeof got));
    EXPECT(got[0][0] == 102 && got[7][0] == 102 && got[0][3] == 2);
    CHECK(cuTexObjectDestroy(t));
    view.last_level = LEVELS;
    CHECK_FAILS(cuTexObjectCreate(&t, &resource, &texture, &view), CUDA_ERROR_INVALID_VALUE);
    texture.mipmap_filter_mode = 2;
    CHECK_FAILS(cuTexObjectCreate(&t, &resource, &texture, NULL), CUDA_ERROR_INVALID_VALUE);
    texture = reading(CU_TEXTURE_READ_AS_INTEGER);
    texture.flags = CU_TEXTURE_READ_AS_INTEGER;
    CHECK_FAILS(cuTexObjectCreate(&t, &resource, &texture, NULL), CUDA_ERROR_INVALID_VALUE);

    /* The texture outlives its array, and is of no use, but harms nobody. */
    texture = reading(CU_TEXTURE_READ_AS_INTEGER);
    CHECK(cuTexObjectCreate(&t, &resource, &texture, NULL));
    CHECK(cuMipmappedArrayDestroy(array));
    CHECK_FAILS(cuTexObjectCreate(&t, &resource, &texture, NULL), CUDA_ERROR_INVALID_HANDLE);
    CHECK(cuTexObjectDestroy(t));
    CHECK(cuCtxSynchronize());
    CHECK(cuMemFree_v2(out));
    CHECK(cuModuleUnload(module));
}

static void levels(void) {
    static const struct {
        size_t width, height, depth;
        unsigned wish, flags, count, last[3];
    } cases[] = {
        {64, 16, 0, 100, 0, 7, {1, 1, 0}},         {64, 16, 0, 0, 0, 1, {64, 16, 0}},
        {5, 3, 9, 100, 0, 4, {1, 1, 1}},           {7, 0, 0, 100, 0, 3, {1, 0, 0}},
        {8, 8, 12, 100, CU_ARRAY_CUBEMAP | CU_ARRAY_LAYERED, 4, {1, 1, 12}},
        {12, 5, 7, 2, CU_ARRAY_LAYERED, 2, {6, 2, 7}}, {9, 0, 3, 3, CU_ARRAY_LAYERED, 3, {2, 0, 3}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CUmipmappedArray array = make(cases[i].width, cases[i].height, cases[i].depth, cases[i].wish, cases[i].flags);
        CUDA_ARRAY3D_DESCRIPTOR last;
        CUarray level;
        CHECK(cuArray3DGetDescriptor_v2(&last, level_of(array, cases[i].count - 1)));
        EXPECT(last.width == cases[i].last[0] && last.height == cases[i].last[1] && last.depth == cases[i].last[2]);
        EXPECT(last.flags == cases[i].flags && last.format == CU_FORMAT_UINT32);
        CHECK_FAILS(cuMipmappedArrayGetLevel(&level, array, cases[i].count), CUDA_ERROR_INVALID_VALUE);
        CHECK_FAILS(cuMipmappedArrayGetLevel(&level, array, -1), CUDA_ERROR_INVALID_VALUE);
        CHECK(cuMipmappedArrayDestroy(array));
    }
}

static void bounds(void) {
    CUmipmappedArray array;
    CUarray level;
    size_t before, during, after, total;
    const CUDA_ARRAY3D_DESCRIPTOR wrong[] = {
        {0, 4, 0, CU_FORMAT_FLOAT, 1, 0}, {4, 4, 0, CU_FORMAT_FLOAT, 3, 0}, {4, 4, 5, CU_FORMAT_FLOAT, 1, CU_ARRAY_CUBEMAP},
        {(size_t)1 << 32, 1, 0, CU_FORMAT_FLOAT, 1, 0}, {4, (size_t)-4, 0, CU_FORMAT_FLOAT, 1, 0}, {(size_t)1 << 62, 0, 0, CU_FORMAT_FLOAT, 1, 0},
        {1u << 31, 1u << 31, 1u << 31, CU_FORMAT_FLOAT, 4, 0},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) CHECK_FAILS(cuMipmappedArrayCreate(&array, &wrong[i], 4), CUDA_ERROR_INVALID_VALUE);
    CHECK_FAILS(cuMipmappedArrayCreate(NULL, &wrong[0], 4), CUDA_ERROR_INVALID_VALUE);
    CHECK_FAILS(cuMipmappedArrayCreate(&array, NULL, 4), CUDA_ERROR_INVALID_VALUE);
    /* Within every limit, and more than there is. */
    CUDA_ARRAY3D_DESCRIPTOR wish = {16384, 16384, 1024, CU_FORMAT_FLOAT, 4, 0};
    CHECK_FAILS(cuMipmappedArrayCreate(&array, &wish, 4), CUDA_ERROR_OUT_OF_MEMORY);

    CHECK(cuMemGetInfo_v2(&before, &total));
    array = make(1024, 1024, 0, 100, 0);
    CHECK(cuMemGetInfo_v2(&during, &total));
    /* A third more than the first level. */
    EXPECT(before - during >= (1024 * 1024 * 4 * 4 - 1) / 3);
    level = level_of(array, 2);
    CHECK(cuMipmappedArrayDestroy(array));
    CHECK(cuMemGetInfo_v2(&after, &total));
    EXPECT(after == before);
    CUDA_ARRAY3D_DESCRIPTOR shape;
    CHECK_FAILS(cuArray3DGetDescriptor_v2(&shape, level), CUDA_ERROR_INVALID_HANDLE);
    CHECK_FAILS(cuMipmappedArrayDestroy(array), CUDA_ERROR_INVALID_HANDLE);
    CHECK_FAILS(cuMipmappedArrayGetLevel(&level, array, 0), CUDA_ERROR_INVALID_HANDLE);
    CHECK_FAILS(cuMipmappedArrayGetLevel(&level, NULL, 0), CUDA_ERROR_INVALID_HANDLE);
}

/* A context takes its arrays with it, all levels at once. */
static void of_a_context(void) {
    CUcontext own;
    CUdevice device;
    size_t before, after, total;
    CHECK(cuCtxGetDevice(&device));
    CHECK(cuMemGetInfo_v2(&before, &total));
    CHECK(cuCtxCreate_v2(&own, 0, device));
    CUmipmappedArray array = make(512, 512, 0, 10, 0);
    CUDA_RESOURCE_DESC resource = resource_of(array);
    CUDA_TEXTURE_DESC texture = reading(0);
    CUtexObject t;
    CHECK(cuTexObjectCreate(&t, &resource, &texture, NULL));
    CHECK(cuCtxDestroy_v2(own));
    CHECK(cuMemGetInfo_v2(&after, &total));
    EXPECT(after >= before);
    CHECK_FAILS(cuMipmappedArrayDestroy(array), CUDA_ERROR_INVALID_HANDLE);
}

int main(void) {
    start();
    in_kernels();
    levels();
    bounds();
    of_a_context();
    puts("ok");
    return 0;
}
