/* Arrays, textures and surfaces of the driver API: copies by bytes, what is said of each, views, and handles that are none or of another context. */
#include "driver.h"

#include "../../../client/interposer/driver/cuda-image-api.h"

CUresult cuMemcpyHtoA_v2(CUarray array, size_t offset, const void *source, size_t bytes);
CUresult cuMemcpyHtoAAsync_v2(CUarray array, size_t offset, const void *source, size_t bytes, CUstream stream);
CUresult cuMemcpyDtoA_v2(CUarray array, size_t offset, CUdeviceptr source, size_t bytes);
CUresult cuMemcpyAtoH_v2(void *destination, CUarray array, size_t offset, size_t bytes);
CUresult cuMemcpyAtoHAsync_v2(void *destination, CUarray array, size_t offset, size_t bytes, CUstream stream);
CUresult cuMemcpyAtoD_v2(CUdeviceptr destination, CUarray array, size_t offset, size_t bytes);
CUresult cuMemcpyAtoA_v2(CUarray to, size_t to_offset, CUarray array, size_t offset, size_t bytes);

/* k(texture, surface, out): what each has at texel (thread, 1), and the surface's row 0 is what the texture had. */
static const char ptx[] = PTX_HEADER ".visible .entry k(.param .u64 t, .param .u64 s, .param .u64 out)\n{\n"
                                     ".reg .b32 %r<12>;\n.reg .f32 %f<4>;\n.reg .b64 %d<6>;\n"
                                     "ld.param.u64 %d0, [t];\nld.param.u64 %d1, [s];\nld.param.u64 %d2, [out];\ncvta.to.global.u64 %d2, %d2;\n"
                                     "mov.u32 %r0, %tid.x;\ncvt.rn.f32.u32 %f0, %r0;\nadd.f32 %f0, %f0, 0f3F000000;\nmov.f32 %f1, 0f3FC00000;\n"
                                     "tex.2d.v4.u32.f32 {%r1, %r2, %r3, %r4}, [%d0, {%f0, %f1}];\n"
                                     "shl.b32 %r5, %r0, 2;\nmov.u32 %r6, 1;\nmov.u32 %r7, 0;\n"
                                     "suld.b.2d.b32.trap {%r8}, [%d1, {%r5, %r6}];\nsust.b.2d.b32.trap [%d1, {%r5, %r7}], {%r1};\n"
                                     "mul.wide.u32 %d3, %r0, 8;\nadd.s64 %d2, %d2, %d3;\nst.global.v2.u32 [%d2], {%r1, %r8};\nret;\n}\n";

enum { WIDTH = 16, HEIGHT = 3 };

static CUarray make(size_t width, size_t height, size_t depth, unsigned flags) {
    CUarray array;
    CUDA_ARRAY3D_DESCRIPTOR shape = {width, height, depth, CU_FORMAT_UINT32, 1, flags};
    CHECK(cuArray3DCreate_v2(&array, &shape));
    return array;
}

static void bytes_of_a_row(void) {
    CUarray first = make(64, 0, 0, 0), second = make(64, 0, 0, 0);
    CUdeviceptr memory;
    CUstream stream;
    unsigned data[64], got[64] = {0};
    for (unsigned i = 0; i < 64; i++) data[i] = 1000 + i;
    CHECK(cuStreamCreate(&stream, 1));
    CHECK(cuMemAlloc_v2(&memory, sizeof data));
    CHECK(cuMemcpyHtoA_v2(first, 0, data, sizeof data));
    CHECK(cuMemcpyAtoA_v2(second, 32 * 4, first, 0, 32 * 4));
    CHECK(cuMemcpyAtoD_v2(memory, first, 16 * 4, 32 * 4));
    CHECK(cuMemcpyDtoA_v2(second, 0, memory, 32 * 4));
    CHECK(cuMemcpyAtoH_v2(got, second, 0, sizeof got));
    for (unsigned i = 0; i < 64; i++) EXPECT(got[i] == 1000 + (i < 32 ? i + 16 : i - 32));
    CHECK(cuMemcpyHtoAAsync_v2(first, 4, got, 8, stream));
    CHECK(cuMemcpyAtoHAsync_v2(got, first, 0, 16, stream));
    CHECK(cuStreamSynchronize(stream));
    EXPECT(got[0] == 1000 && got[1] == 1016 && got[2] == 1017 && got[3] == 1003);
    CHECK_FAILS(cuMemcpyHtoA_v2(first, 8, data, sizeof data), CUDA_ERROR_INVALID_VALUE);
    CHECK_FAILS(cuMemcpyAtoH_v2(got, second, sizeof got, 4), CUDA_ERROR_INVALID_VALUE);
    CHECK(cuStreamDestroy_v2(stream));
    CHECK(cuMemFree_v2(memory));
    CHECK(cuArrayDestroy(first));
    CHECK(cuArrayDestroy(second));
}

static CUDA_RESOURCE_DESC resource_of(CUarray array) {
    CUDA_RESOURCE_DESC resource;
    memset(&resource, 0, sizeof resource);
    resource.type = CU_RESOURCE_ARRAY;
    resource.of.array = array;
    return resource;
}

static CUDA_TEXTURE_DESC reading(unsigned flags) {
    CUDA_TEXTURE_DESC texture;
    memset(&texture, 0, sizeof texture);
    texture.flags = flags;
    return texture;
}

static void fill_rows(CUarray array, unsigned first) {
    unsigned data[WIDTH * HEIGHT];
    for (unsigned i = 0; i < WIDTH * HEIGHT; i++) data[i] = first + i;
    CUDA_MEMCPY2D copy = {.src_type = CU_MEMORY_HOST, .src_host = data, .src_pitch = WIDTH * 4, .dst_type = CU_MEMORY_ARRAY, .dst_array = array,
                          .width_bytes = WIDTH * 4, .height = HEIGHT};
    CHECK(cuMemcpy2D_v2(&copy));
}

static void in_kernels(void) {
    CUmodule module;
    CUfunction function = load(ptx, "k", &module);
    CUarray read = make(WIDTH, HEIGHT, 0, 0), both = make(WIDTH, HEIGHT, 0, CU_ARRAY_SURFACE);
    CUDA_RESOURCE_DESC resource = resource_of(read), other = resource_of(both), again;
    CUDA_TEXTURE_DESC texture = reading(CU_TEXTURE_READ_AS_INTEGER), texture_again;
    CUDA_RESOURCE_VIEW_DESC view = {.format = 0, .width = WIDTH, .height = HEIGHT}, view_again;
    CUtexObject t, viewed;
    CUsurfObject s;
    CUdeviceptr out;
    unsigned got[WIDTH][2];
    fill_rows(read, 100);
    fill_rows(both, 500);
    CHECK(cuTexObjectCreate(&t, &resource, &texture, NULL));
    CHECK(cuSurfObjectCreate(&s, &other));
    CHECK(cuMemAlloc_v2(&out, sizeof got));
    void *params[] = {&t, &s, &out};
    CHECK(launch(function, 1, WIDTH, NULL, params));
    CHECK(cuMemcpyDtoH_v2(got, out, sizeof got));
    for (unsigned i = 0; i < WIDTH; i++) EXPECT(got[i][0] == 100 + WIDTH + i && got[i][1] == 500 + WIDTH + i);
    unsigned row[WIDTH];
    CUDA_MEMCPY2D copy = {.src_type = CU_MEMORY_ARRAY, .src_array = both, .dst_type = CU_MEMORY_HOST, .dst_host = row, .dst_pitch = sizeof row,
                          .width_bytes = sizeof row, .height = 1};
    CHECK(cuMemcpy2D_v2(&copy));
    for (unsigned i = 0; i < WIDTH; i++) EXPECT(row[i] == 100 + WIDTH + i);

    CHECK(cuTexObjectGetResourceDesc(&again, t));
    EXPECT(again.type == CU_RESOURCE_ARRAY && again.of.array == read);
    CHECK(cuSurfObjectGetResourceDesc(&again, s));
    EXPECT(again.of.array == both);
    CHECK(cuTexObjectGetTextureDesc(&texture_again, t));
    EXPECT(texture_again.flags == CU_TEXTURE_READ_AS_INTEGER);
    CHECK_FAILS(cuTexObjectGetResourceViewDesc(&view_again, t), CUDA_ERROR_INVALID_VALUE);
    /* Signed numbers seen as unsigned ones. */
    view.format = 0x10; /* CU_RES_VIEW_FORMAT_SINT_1X32 */
    CHECK(cuTexObjectCreate(&viewed, &resource, &texture, &view));
    CHECK(cuTexObjectGetResourceViewDesc(&view_again, viewed));
    EXPECT(view_again.format == 0x10 && view_again.width == WIDTH);
    params[0] = &viewed;
    CHECK(launch(function, 1, WIDTH, NULL, params));
    CHECK(cuMemcpyDtoH_v2(got, out, sizeof got));
    EXPECT(got[3][0] == 100 + WIDTH + 3);
    CHECK(cuTexObjectDestroy(viewed));
    view.width = WIDTH / 2;
    CHECK_FAILS(cuTexObjectCreate(&viewed, &resource, &texture, &view), CUDA_ERROR_INVALID_VALUE);
    CHECK(cuTexObjectDestroy(t));
    CHECK(cuSurfObjectDestroy(s));
    CHECK(cuArrayDestroy(read));
    CHECK(cuArrayDestroy(both));
    CHECK(cuMemFree_v2(out));
    CHECK(cuModuleUnload(module));
}

static void descriptors(void) {
    CUDA_ARRAY_DESCRIPTOR flat = {40, 30, CU_FORMAT_UINT8, 4}, flat_again;
    CUDA_ARRAY3D_DESCRIPTOR again, wish;
    CUarray array;
    CHECK(cuArrayCreate_v2(&array, &flat));
    CHECK(cuArrayGetDescriptor_v2(&flat_again, array));
    EXPECT(flat_again.width == 40 && flat_again.height == 30 && flat_again.format == CU_FORMAT_UINT8 && flat_again.channels == 4);
    CHECK(cuArray3DGetDescriptor_v2(&again, array));
    EXPECT(again.width == 40 && again.height == 30 && again.depth == 0 && again.flags == 0);
    CHECK(cuArrayDestroy(array));
    const CUDA_ARRAY3D_DESCRIPTOR wrong[] = {
        {0, 0, 0, CU_FORMAT_FLOAT, 1, 0}, {4, 4, 0, 7, 1, 0},
        {4, 4, 0, CU_FORMAT_FLOAT, 5, 0}, {4, 0, 4, CU_FORMAT_FLOAT, 1, 0},
        {4, 4, 0, CU_FORMAT_FLOAT, 1, CU_ARRAY_LAYERED}, {4, 5, 6, CU_FORMAT_FLOAT, 1, CU_ARRAY_CUBEMAP},
        {4, 4, 5, CU_FORMAT_FLOAT, 1, CU_ARRAY_CUBEMAP}, {(size_t)1 << 40, 4, 0, CU_FORMAT_FLOAT, 1, 0},
        {4, (size_t)1 << 40, 0, CU_FORMAT_FLOAT, 1, 0}, {4, 4, (size_t)1 << 40, CU_FORMAT_FLOAT, 1, 0},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) CHECK_FAILS(cuArray3DCreate_v2(&array, &wrong[i]), CUDA_ERROR_INVALID_VALUE);
    CHECK_FAILS(cuArray3DCreate_v2(NULL, &again), CUDA_ERROR_INVALID_VALUE);
    /* Within every limit, and more than there is. */
    wish = (CUDA_ARRAY3D_DESCRIPTOR){16384, 16384, 1024, CU_FORMAT_FLOAT, 4, 0};
    CHECK_FAILS(cuArray3DCreate_v2(&array, &wish), CUDA_ERROR_OUT_OF_MEMORY);
}

/* A context takes its arrays and textures with it. */
static void of_a_context(void) {
    CUcontext own;
    CUdevice device;
    CUtexObject t;
    size_t before, during, after, total;
    CHECK(cuCtxGetDevice(&device));
    CHECK(cuMemGetInfo_v2(&before, &total));
    CHECK(cuCtxCreate_v2(&own, 0, device));
    CUarray array = make(512, 512, 0, 0);
    CUDA_RESOURCE_DESC resource = resource_of(array);
    CUDA_TEXTURE_DESC texture = reading(CU_TEXTURE_READ_AS_INTEGER);
    CHECK(cuTexObjectCreate(&t, &resource, &texture, NULL));
    CHECK(cuMemGetInfo_v2(&during, &total));
    EXPECT(before - during >= 512 * 512 * 4);
    CHECK(cuCtxDestroy_v2(own));
    CHECK(cuMemGetInfo_v2(&after, &total));
    EXPECT(after > during);
}

int main(void) {
    start();
    bytes_of_a_row();
    in_kernels();
    descriptors();
    of_a_context();
    puts("ok");
    return 0;
}
