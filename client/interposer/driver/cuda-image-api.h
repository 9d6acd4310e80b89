/*
 * The part of the driver API's binary interface that is about arrays, textures and surfaces, declared from its public documentation as
 * cuda-api.h is.
 */
#ifndef SLUICE_CUDA_IMAGE_API_H
#define SLUICE_CUDA_IMAGE_API_H

#include "cuda-api.h"

typedef unsigned long long CUtexObject;
typedef unsigned long long CUsurfObject;
typedef struct CUmipmappedArray_st *CUmipmappedArray;

/* CUarray_format */
enum {
    CU_FORMAT_UINT8 = 0x01,
    CU_FORMAT_UINT16 = 0x02,
    CU_FORMAT_UINT32 = 0x03,
    CU_FORMAT_SINT8 = 0x08,
    CU_FORMAT_SINT16 = 0x09,
    CU_FORMAT_SINT32 = 0x0a,
    CU_FORMAT_HALF = 0x10,
    CU_FORMAT_FLOAT = 0x20,
    /* From here on formats of packed, planar and compressed texels. */
    CU_FORMAT_FURTHER = 0x50,
    /* Twelve formats of numbers that stand for parts of their largest: without and with a sign, of 8 and of 16 bits, 1, 2 or 4 in a texel. */
    CU_FORMAT_PARTS = 0xc0,
    CU_FORMAT_PARTS_END = 0xcc,
};

/* Flags of an array. */
enum {
    CU_ARRAY_LAYERED = 0x01,
    CU_ARRAY_SURFACE = 0x02,
    CU_ARRAY_CUBEMAP = 0x04,
    CU_ARRAY_GATHER = 0x08,
};

typedef struct {
    size_t width, height;
    int format;
    unsigned int channels;
} CUDA_ARRAY_DESCRIPTOR;

typedef struct {
    size_t width, height, depth;
    int format;
    unsigned int channels;
    unsigned int flags;
} CUDA_ARRAY3D_DESCRIPTOR;

/* CUresourcetype */
enum { CU_RESOURCE_ARRAY = 0, CU_RESOURCE_MIPMAPPED_ARRAY = 1, CU_RESOURCE_LINEAR = 2, CU_RESOURCE_PITCH2D = 3 };

typedef struct {
    int type;
    union {
        CUarray array;
        CUmipmappedArray mipmapped;
        struct {
            CUdeviceptr address;
            int format;
            unsigned int channels;
            size_t byte_count;
        } linear;
        struct {
            CUdeviceptr address;
            int format;
            unsigned int channels;
            size_t width, height, pitch;
        } pitch2d;
        int reserved[32];
    } of;
    unsigned int flags;
} CUDA_RESOURCE_DESC;

enum { CU_ADDRESS_BORDER = 3, CU_FILTER_POINT = 0, CU_FILTER_LINEAR = 1 };

/* Flags of a texture. */
enum {
    CU_TEXTURE_READ_AS_INTEGER = 0x01,
    CU_TEXTURE_NORMALIZED = 0x02,
    CU_TEXTURE_SRGB = 0x10,
    CU_TEXTURE_DISABLE_TRILINEAR = 0x20,
    CU_TEXTURE_SEAMLESS = 0x40,
};

typedef struct {
    int address_mode[3];
    int filter_mode;
    unsigned int flags;
    unsigned int anisotropy;
    int mipmap_filter_mode;
    float mipmap_bias, mipmap_least, mipmap_most;
    float border[4];
    int reserved[12];
} CUDA_TEXTURE_DESC;

typedef struct {
    int format;
    size_t width, height, depth;
    unsigned int first_level, last_level, first_layer, last_layer;
    unsigned int reserved[16];
} CUDA_RESOURCE_VIEW_DESC;

/* CUmemcpy3DOperandType */
enum { CU_OPERAND_POINTER = 1, CU_OPERAND_ARRAY = 2 };

typedef struct {
    int type;
    union {
        struct {
            CUdeviceptr address;
            /* In elements. */
            size_t row_length, layer_height;
            int location[2];
        } pointer;
        struct {
            CUarray array;
            size_t x, y, z;
        } array;
    } of;
} CUmemcpy3DOperand;

typedef struct {
    CUmemcpy3DOperand src, dst;
    size_t width, height, depth;
    int access_order;
    unsigned int flags;
} CUDA_MEMCPY3D_BATCH_OP;

CUresult cuMemcpy3DBatchAsync_v2(size_t count, CUDA_MEMCPY3D_BATCH_OP *copies, unsigned long long flags, CUstream stream);
CUresult cuMemcpy3DBatchAsync(size_t count, CUDA_MEMCPY3D_BATCH_OP *copies, size_t *failed, unsigned long long flags, CUstream stream);
CUresult cuArrayCreate_v2(CUarray *array, const CUDA_ARRAY_DESCRIPTOR *wish);
CUresult cuArray3DCreate_v2(CUarray *array, const CUDA_ARRAY3D_DESCRIPTOR *wish);
CUresult cuArrayGetDescriptor_v2(CUDA_ARRAY_DESCRIPTOR *descriptor, CUarray array);
CUresult cuArray3DGetDescriptor_v2(CUDA_ARRAY3D_DESCRIPTOR *descriptor, CUarray array);
CUresult cuArrayDestroy(CUarray array);
CUresult cuArrayGetPlane(CUarray *plane, CUarray array, unsigned int index);
CUresult cuArrayGetSparseProperties(void *properties, CUarray array);
CUresult cuArrayGetMemoryRequirements(void *requirements, CUarray array, CUdevice device);
CUresult cuMipmappedArrayCreate(CUmipmappedArray *array, const CUDA_ARRAY3D_DESCRIPTOR *wish, unsigned int levels);
CUresult cuMipmappedArrayGetLevel(CUarray *level, CUmipmappedArray array, unsigned int number);
CUresult cuMipmappedArrayDestroy(CUmipmappedArray array);
CUresult cuMipmappedArrayGetSparseProperties(void *properties, CUmipmappedArray array);
CUresult cuMipmappedArrayGetMemoryRequirements(void *requirements, CUmipmappedArray array, CUdevice device);
CUresult cuTexObjectCreate(CUtexObject *object, const CUDA_RESOURCE_DESC *resource, const CUDA_TEXTURE_DESC *texture,
                           const CUDA_RESOURCE_VIEW_DESC *view);
CUresult cuTexObjectDestroy(CUtexObject object);
CUresult cuTexObjectGetResourceDesc(CUDA_RESOURCE_DESC *resource, CUtexObject object);
CUresult cuTexObjectGetTextureDesc(CUDA_TEXTURE_DESC *texture, CUtexObject object);
CUresult cuTexObjectGetResourceViewDesc(CUDA_RESOURCE_VIEW_DESC *view, CUtexObject object);
CUresult cuSurfObjectCreate(CUsurfObject *object, const CUDA_RESOURCE_DESC *resource);
CUresult cuSurfObjectDestroy(CUsurfObject object);
CUresult cuSurfObjectGetResourceDesc(CUDA_RESOURCE_DESC *resource, CUsurfObject object);
CUresult cuDeviceGetTexture1DLinearMaxWidth(size_t *width, int format, unsigned int channels, CUdevice device);

#endif
