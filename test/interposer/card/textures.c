/*
 * On a slice of a GPU: textures over rows of memory, over arrays of all kinds and with levels of detail, and surfaces. The kernels are those that the
 * tests' stand-in for the driver knows by name.
 */
#include "../driver/driver.h"

#include "../../../client/interposer/driver/cuda-image-api.h"

/* fetch_texel(texture, x, y, out): four words. */
static const char ptx[] = PTX_HEADER ".visible .entry fetch_texel(.param .u64 t, .param .u32 x, .param .u32 y, .param .u64 out)\n{\n"
                                     ".reg .b32 %r<8>;\n.reg .f32 %f<3>;\n.reg .b64 %d<3>;\n"
                                     "ld.param.u64 %d0, [t];\nld.param.u32 %r1, [x];\nld.param.u32 %r2, [y];\nld.param.u64 %d1, [out];\n"
                                     "cvt.rn.f32.u32 %f1, %r1;\ncvt.rn.f32.u32 %f2, %r2;\nadd.f32 %f1, %f1, 0f3F000000;\nadd.f32 %f2, %f2, 0f3F000000;\n"
                                     "tex.2d.v4.u32.f32 {%r3, %r4, %r5, %r6}, [%d0, {%f1, %f2}];\n"
                                     "cvta.to.global.u64 %d1, %d1;\nst.global.v4.u32 [%d1], {%r3, %r4, %r5, %r6};\nret;\n}\n";

static const char array_ptx[] = PTX_HEADER
    ".visible .entry fetch_at(.param .u64 t, .param .u32 x, .param .u32 y, .param .u32 z, .param .u32 level, .param .u64 out) { ret; }\n"
    ".visible .entry store_texel(.param .u64 s, .param .u32 x, .param .u32 y, .param .u32 z, .param .u32 value) { ret; }\n";

enum { WIDTH = 50, HEIGHT = 20 };

static CUfunction fetch_texel, fetch_at, store_texel;
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

static unsigned at(CUtexObject object, unsigned x, unsigned y, unsigned z, unsigned level) {
    unsigned got[4];
    void *params[] = {&object, &x, &y, &z, &level, &out};
    CHECK(launch(fetch_at, 1, 1, NULL, params));
    CHECK(cuMemcpyDtoH_v2(got, out, sizeof got));
    return got[0];
}

static void store(CUsurfObject object, unsigned x, unsigned y, unsigned z, unsigned value) {
    void *params[] = {&object, &x, &y, &z, &value};
    CHECK(launch(store_texel, 1, 1, NULL, params));
}

static CUtexObject texture_of(const CUDA_RESOURCE_DESC *resource, unsigned flags) {
    CUDA_TEXTURE_DESC texture;
    CUtexObject object;
    memset(&texture, 0, sizeof texture);
    for (int axis = 0; axis < 3; axis++) texture.address_mode[axis] = 1;
    texture.flags = CU_TEXTURE_READ_AS_INTEGER | flags;
    texture.mipmap_most = 8;
    CHECK(cuTexObjectCreate(&object, resource, &texture, NULL));
    return object;
}

static void whole(CUarray array, size_t width, size_t height, size_t depth, unsigned *host, int is_into) {
    CUDA_MEMCPY3D copy = {.width_bytes = width * 4, .height = height, .depth = depth};
    if (is_into) copy.src_type = CU_MEMORY_HOST, copy.src_host = host, copy.dst_type = CU_MEMORY_ARRAY, copy.dst_array = array;
    else copy.src_type = CU_MEMORY_ARRAY, copy.src_array = array, copy.dst_type = CU_MEMORY_HOST, copy.dst_host = host;
    copy.src_pitch = copy.dst_pitch = width * 4, copy.src_height = copy.dst_height = height;
    CHECK(cuMemcpy3D_v2(&copy));
}

/* An array that textures read and surfaces write. */
static void shaped(size_t width, size_t height, size_t depth, unsigned flags) {
    static unsigned data[4096], back[4096];
    size_t rows = height == 0 ? 1 : height, planes = depth == 0 ? 1 : depth;
    CUarray array;
    CUDA_ARRAY3D_DESCRIPTOR shape = {width, height, depth, CU_FORMAT_UINT32, 1, flags | CU_ARRAY_SURFACE};
    CUDA_RESOURCE_DESC resource;
    CUsurfObject surface;
    CHECK(cuArray3DCreate_v2(&array, &shape));
    for (unsigned i = 0; i < width * rows * planes; i++) data[i] = 100 + i;
    whole(array, width, rows, planes, data, 1);
    memset(&resource, 0, sizeof resource);
    resource.type = CU_RESOURCE_ARRAY;
    resource.of.array = array;
    CUtexObject texture = texture_of(&resource, flags & CU_ARRAY_CUBEMAP ? CU_TEXTURE_NORMALIZED : 0);
    unsigned x = (unsigned)width - 1, y = (unsigned)rows - 1, z = (unsigned)planes - 1;
    EXPECT(at(texture, 0, 0, 0, 0) == 100 && at(texture, x, y, z, 0) == 100 + width * rows * planes - 1);
    CHECK(cuSurfObjectCreate(&surface, &resource));
    store(surface, x, y, z, 7);
    EXPECT(at(texture, x, y, z, 0) == 7);
    whole(array, width, rows, planes, back, 0);
    data[width * rows * planes - 1] = 7;
    EXPECT(memcmp(back, data, width * rows * planes * 4) == 0);
    data[0] = 8;
    whole(array, width, rows, planes, data, 1);
    EXPECT(at(texture, 0, 0, 0, 0) == 8);
    CHECK(cuTexObjectDestroy(texture));
    CHECK(cuSurfObjectDestroy(surface));
    whole(array, width, rows, planes, back, 0);
    EXPECT(memcmp(back, data, width * rows * planes * 4) == 0);
    CHECK(cuArrayDestroy(array));
}

static void levels_of_detail(void) {
    CUDA_ARRAY3D_DESCRIPTOR shape = {16, 16, 0, CU_FORMAT_UINT32, 1, CU_ARRAY_SURFACE};
    CUmipmappedArray levels;
    CUDA_RESOURCE_DESC all, one;
    CUarray level;
    CUsurfObject surface;
    unsigned data[256], back[64];
    CHECK(cuMipmappedArrayCreate(&levels, &shape, 3));
    for (unsigned i = 0; i < 3; i++) {
        for (unsigned j = 0; j < 256; j++) data[j] = 1000 * i + j;
        CHECK(cuMipmappedArrayGetLevel(&level, levels, i));
        whole(level, 16u >> i, 16u >> i, 1, data, 1);
    }
    memset(&all, 0, sizeof all);
    all.type = CU_RESOURCE_MIPMAPPED_ARRAY;
    all.of.mipmapped = levels;
    CUtexObject texture = texture_of(&all, CU_TEXTURE_NORMALIZED);
    EXPECT(at(texture, 15, 15, 0, 0) == 255 && at(texture, 7, 7, 0, 1) == 1063 && at(texture, 3, 3, 0, 2) == 2015);
    CHECK(cuMipmappedArrayGetLevel(&level, levels, 1));
    memset(&one, 0, sizeof one);
    one.type = CU_RESOURCE_ARRAY;
    one.of.array = level;
    CHECK(cuSurfObjectCreate(&surface, &one));
    store(surface, 1, 1, 0, 5);
    EXPECT(at(texture, 1, 1, 0, 1) == 5);
    whole(level, 8, 8, 1, back, 0);
    EXPECT(back[9] == 5 && back[10] == 1010);
    CHECK(cuSurfObjectDestroy(surface));
    CHECK(cuTexObjectDestroy(texture));
    CHECK(cuMipmappedArrayDestroy(levels));
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

    /* Surfaces are over arrays that were made for them. */
    CUsurfObject surface;
    CHECK_FAILS(cuSurfObjectCreate(&surface, &resource), CUDA_ERROR_INVALID_VALUE);
    CUmodule arrays;
    fetch_at = load(array_ptx, "fetch_at", &arrays);
    CHECK(cuModuleGetFunction(&store_texel, arrays, "store_texel"));
    shaped(64, 0, 0, 0);
    shaped(16, 8, 0, 0);
    shaped(16, 8, 6, 0);
    shaped(16, 0, 5, CU_ARRAY_LAYERED);
    shaped(16, 8, 5, CU_ARRAY_LAYERED);
    shaped(8, 8, 6, CU_ARRAY_CUBEMAP);
    shaped(8, 8, 12, CU_ARRAY_CUBEMAP | CU_ARRAY_LAYERED);
    shaped(16, 16, 0, CU_ARRAY_GATHER);
    levels_of_detail();
    CHECK(cuArrayDestroy(array));
    CHECK(cuMemFree_v2(rows));
    CHECK(cuCtxSynchronize());
    puts("ok");
    return 0;
}
