/* On a slice of a GPU: textures over lines and rows of memory, and over plain arrays of two dimensions; other arrays are refused when they are made. */
#include "../driver/driver.h"

#include "../../../client/interposer/driver/cuda-image-api.h"

/* fetch_texel(texture, x, y, out): four words. */
static const char ptx[] = PTX_HEADER ".visible .entry fetch_texel(.param .u64 t, .param .u32 x, .param .u32 y, .param .u64 out)\n{\n"
                                     ".reg .b32 %r<8>;\n.reg .f32 %f<3>;\n.reg .b64 %d<3>;\n"
                                     "ld.param.u64 %d0, [t];\nld.param.u32 %r1, [x];\nld.param.u32 %r2, [y];\nld.param.u64 %d1, [out];\n"
                                     "cvt.rn.f32.u32 %f1, %r1;\ncvt.rn.f32.u32 %f2, %r2;\nadd.f32 %f1, %f1, 0f3F000000;\nadd.f32 %f2, %f2, 0f3F000000;\n"
                                     "tex.2d.v4.u32.f32 {%r3, %r4, %r5, %r6}, [%d0, {%f1, %f2}];\n"
                                     "cvta.to.global.u64 %d1, %d1;\nst.global.v4.u32 [%d1], {%r3, %r4, %r5, %r6};\nret;\n}\n";

enum { WIDTH = 50, HEIGHT = 20 };

static CUfunction fetch_texel;
static CUdeviceptr out;

static unsigned fetched(CUtexObject object, unsigned x, unsigned y) {
    unsigned got[4];
    void *params[] = {&object, &x, &y, &out};
    CHECK(launch(fetch_texel, 1, 1, NULL, params));
    CHECK(cuMemcpyDtoH_v2(got, out, sizeof got));
    return got[0];
}

static void over(CUDA_RESOURCE_DESC resource, unsigned first) {
    CUDA_TEXTURE_DESC texture;
    CUtexObject object;
    memset(&texture, 0, sizeof texture);
    for (int axis = 0; axis < 3; axis++) texture.address_mode[axis] = 1;
    texture.flags = CU_TEXTURE_READ_AS_INTEGER;
    CHECK(cuTexObjectCreate(&object, &resource, &texture, NULL));
    EXPECT(fetched(object, 0, 0) == first && fetched(object, WIDTH - 1, HEIGHT - 1) == first + WIDTH * HEIGHT - 1);
    EXPECT(fetched(object, 7, 3) == first + 3 * WIDTH + 7);
    CHECK(cuTexObjectDestroy(object));
    CHECK_FAILS(cuTexObjectDestroy(object), CUDA_ERROR_INVALID_VALUE);
}

static void refused(size_t width, size_t height, size_t depth, unsigned flags) {
    CUarray array;
    CUDA_ARRAY3D_DESCRIPTOR shape = {width, height, depth, CU_FORMAT_UINT32, 1, flags};
    CHECK_FAILS(cuArray3DCreate_v2(&array, &shape), CUDA_ERROR_NOT_SUPPORTED);
}

int main(void) {
    CUmodule module;
    CUarray array;
    CUdeviceptr rows;
    size_t pitch;
    unsigned data[WIDTH * HEIGHT];
    start();
    fetch_texel = load(ptx, "fetch_texel", &module);
    CHECK(cuMemAlloc_v2(&out, 16));
    for (unsigned i = 0; i < WIDTH * HEIGHT; i++) data[i] = 1000 + i;

    CHECK(cuMemAllocPitch_v2(&rows, &pitch, WIDTH * 4, HEIGHT, 4));
    CUDA_MEMCPY2D copy = {.src_type = CU_MEMORY_HOST, .src_host = data, .src_pitch = WIDTH * 4, .dst_type = CU_MEMORY_DEVICE, .dst_device = rows,
                          .dst_pitch = pitch, .width_bytes = WIDTH * 4, .height = HEIGHT};
    CHECK(cuMemcpy2D_v2(&copy));
    CUDA_RESOURCE_DESC resource;
    memset(&resource, 0, sizeof resource);
    resource.type = CU_RESOURCE_PITCH2D;
    resource.of.pitch2d.address = rows;
    resource.of.pitch2d.format = CU_FORMAT_UINT32;
    resource.of.pitch2d.channels = 1;
    resource.of.pitch2d.width = WIDTH;
    resource.of.pitch2d.height = HEIGHT;
    resource.of.pitch2d.pitch = pitch;
    over(resource, 1000);

    for (unsigned i = 0; i < WIDTH * HEIGHT; i++) data[i] = 5000 + i;
    CUDA_ARRAY3D_DESCRIPTOR shape = {WIDTH, HEIGHT, 0, CU_FORMAT_UINT32, 1, 0};
    CHECK(cuArray3DCreate_v2(&array, &shape));
    copy.dst_type = CU_MEMORY_ARRAY;
    copy.dst_array = array;
    CHECK(cuMemcpy2D_v2(&copy));
    memset(&resource, 0, sizeof resource);
    resource.type = CU_RESOURCE_ARRAY;
    resource.of.array = array;
    over(resource, 5000);
    unsigned back[WIDTH * HEIGHT];
    CUDA_MEMCPY2D home = {.src_type = CU_MEMORY_ARRAY, .src_array = array, .dst_type = CU_MEMORY_HOST, .dst_host = back, .dst_pitch = WIDTH * 4,
                          .width_bytes = WIDTH * 4, .height = HEIGHT};
    CHECK(cuMemcpy2D_v2(&home));
    EXPECT(memcmp(back, data, sizeof data) == 0);

    CUsurfObject surface;
    CHECK_FAILS(cuSurfObjectCreate(&surface, &resource), CUDA_ERROR_NOT_SUPPORTED);
    refused(64, 0, 0, 0);
    refused(16, 16, 16, 0);
    refused(16, 16, 4, CU_ARRAY_LAYERED);
    refused(16, 16, 6, CU_ARRAY_CUBEMAP);
    refused(16, 16, 0, CU_ARRAY_SURFACE);
    refused(16, 16, 0, CU_ARRAY_GATHER);
    CUmipmappedArray levels;
    CHECK_FAILS(cuMipmappedArrayCreate(&levels, &shape, 2), CUDA_ERROR_NOT_SUPPORTED);
    CHECK(cuArrayDestroy(array));
    CHECK(cuMemFree_v2(rows));
    CHECK(cuCtxSynchronize());
    puts("ok");
    return 0;
}
