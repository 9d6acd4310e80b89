/*
 * Arrays and textures that are gone, used again: by calls, which refuse them, and by a kernel, which ends at it. The argument says what the kernel
 * takes for a texture: `destroyed`, `none` or `address`. For a device that looks.
 */
#include "../driver/driver.h"

#include "../../../client/interposer/driver/cuda-image-api.h"

static const char ptx[] = PTX_HEADER ".visible .entry k(.param .u64 t, .param .u64 out)\n{\n"
                                     ".reg .b32 %r<6>;\n.reg .f32 %f<2>;\n.reg .b64 %d<3>;\n"
                                     "ld.param.u64 %d0, [t];\nld.param.u64 %d1, [out];\nmov.f32 %f0, 0f3F000000;\n"
                                     "tex.2d.v4.u32.f32 {%r1, %r2, %r3, %r4}, [%d0, {%f0, %f0}];\nst.global.u32 [%d1], %r1;\nret;\n}\n";

static void refused_by_calls(CUarray array, CUtexObject object, const CUDA_RESOURCE_DESC *resource, const CUDA_TEXTURE_DESC *texture) {
    CUtexObject other;
    CUDA_ARRAY3D_DESCRIPTOR shape;
    unsigned data[4] = {0};
    CUDA_MEMCPY2D copy = {.src_type = CU_MEMORY_HOST, .src_host = data, .src_pitch = 16, .dst_type = CU_MEMORY_ARRAY, .dst_array = array,
                          .width_bytes = 16, .height = 1};
    CHECK_FAILS(cuArrayDestroy(array), CUDA_ERROR_INVALID_HANDLE);
    CHECK_FAILS(cuArray3DGetDescriptor_v2(&shape, array), CUDA_ERROR_INVALID_HANDLE);
    CHECK_FAILS(cuMemcpy2D_v2(&copy), CUDA_ERROR_INVALID_HANDLE);
    CHECK_FAILS(cuTexObjectCreate(&other, resource, texture, NULL), CUDA_ERROR_INVALID_HANDLE);
    CHECK_FAILS(cuTexObjectDestroy(object), CUDA_ERROR_INVALID_VALUE);
    CHECK_FAILS(cuSurfObjectDestroy(object), CUDA_ERROR_INVALID_VALUE);
}

int main(int count, char **arguments) {
    CUcontext context = start();
    CUmodule module;
    CUarray array;
    CUtexObject object;
    CUdeviceptr out;
    CUDA_ARRAY3D_DESCRIPTOR shape = {16, 16, 0, CU_FORMAT_UINT32, 1, 0};
    CUDA_RESOURCE_DESC resource;
    CUDA_TEXTURE_DESC texture;
    memset(&resource, 0, sizeof resource);
    memset(&texture, 0, sizeof texture);
    texture.flags = CU_TEXTURE_READ_AS_INTEGER;
    CUfunction function = load(ptx, "k", &module);
    CHECK(cuMemAlloc_v2(&out, 4));
    CHECK(cuArray3DCreate_v2(&array, &shape));
    resource.of.array = array;
    CHECK(cuTexObjectCreate(&object, &resource, &texture, NULL));
    CHECK_FAILS(cuTexObjectCreate(&object, &(CUDA_RESOURCE_DESC){.type = CU_RESOURCE_ARRAY, .of.array = (CUarray)context}, &texture, NULL),
                CUDA_ERROR_INVALID_HANDLE);
    /* A texture of an array that is gone reads memory of the slice, as on a GPU. */
    void *params[] = {&object, &out};
    CHECK(cuArrayDestroy(array));
    CHECK(launch(function, 1, 1, NULL, params));
    CHECK(cuCtxSynchronize());
    CHECK(cuTexObjectDestroy(object));
    refused_by_calls(array, object, &resource, &texture);
    if (count > 1 && strcmp(arguments[1], "none") == 0) object = 0;
    if (count > 1 && strcmp(arguments[1], "address") == 0) object = out;
    CHECK(launch(function, 1, 1, NULL, params));
    CHECK_FAILS(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
    puts("ok");
    return 0;
}
