/* Arrays: memory of the arena that is known by its shape. What they have in common with the textures and surfaces over them. */
#ifndef SLUICE_ARRAY_H
#define SLUICE_ARRAY_H

#include "cuda-image-api.h"
#include "driver.h"

struct CUarray_st {
    struct object object;
    struct context *context;
    /* As the program asked for it. */
    CUDA_ARRAY3D_DESCRIPTOR shape;
    uint64_t address;
    /* Bytes from one row to the next, and from one plane or layer. */
    size_t pitch, plane;
    size_t texel_bytes;
    struct CUarray_st *next;
};

/* Bytes of a texel; 0 for what is no format, or not one of ours. */
size_t texel_bytes(int format, unsigned int channels);

/* The array behind a handle: CUDA_ERROR_INVALID_HANDLE for another one. */
CUresult array_of(CUarray handle, struct CUarray_st **array);

/* A limit of the device, or no limit where it tells none. */
size_t device_limit(const struct device *device, int attribute);

/* What a context has made, when it ends: array.c and texture.c. Its memory goes by itself. */
void arrays_drop(struct context *context);
void textures_drop(struct context *context);

#endif
