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
    /* Bytes from one row to the next, from one plane or layer, and in all. */
    size_t pitch, plane, byte_count;
    size_t texel_bytes;
    /* A level of detail, which ends with its mipmapped array. */
    bool is_level;
    struct CUarray_st *next;
};

/* As many levels as the widest array has until one texel is left. */
#define LEVELS_MAX 32

struct CUmipmappedArray_st {
    struct object object;
    struct context *context;
    CUDA_ARRAY3D_DESCRIPTOR shape;
    uint64_t address;
    unsigned int level_count;
    struct CUarray_st *levels[LEVELS_MAX];
    struct CUmipmappedArray_st *next;
};

/* What texels are made of: numbers of a format that has a call's number, how many, and whether they always stand for parts of their largest. */
struct texel_format {
    int numbers;
    unsigned int channels;
    bool is_parts;
};

/* False for what is no format, or not one of ours. */
bool texel_format(int format, unsigned int channels, struct texel_format *found);

/* Bytes of a texel; 0 for what is no format, or not one of ours. */
size_t texel_bytes(int format, unsigned int channels);

/* Whether there may be such an array on a device: as one level of detail, or with several. */
CUresult array_check(const CUDA_ARRAY3D_DESCRIPTOR *wish, const struct device *device, bool is_mipmapped);

/* Whether a GPU's textures read it from where it is in memory: a plain one of two dimensions. All others it has arrays of its own for. */
bool array_is_rows(const struct CUarray_st *array);

/* An array that has no memory yet, known to its context; NULL without room for it. `byte_count` is SIZE_MAX for what passes every number. */
struct CUarray_st *array_make(struct context *context, const CUDA_ARRAY3D_DESCRIPTOR *shape);

/* The end of one, whose memory is the caller's to free. */
void array_let_go(struct CUarray_st *array);

/* The mipmapped array behind a handle: CUDA_ERROR_INVALID_HANDLE for another one. */
CUresult mipmapped_array_of(CUmipmappedArray handle, struct CUmipmappedArray_st **array);

/* The array behind a handle: CUDA_ERROR_INVALID_HANDLE for another one. */
CUresult array_of(CUarray handle, struct CUarray_st **array);

/* A limit of the device, or no limit where it tells none. */
size_t device_limit(const struct device *device, int attribute);

/* What a context has made, when it ends: array.c, mipmap.c and texture.c. Its memory goes by itself. */
void arrays_drop(struct context *context);
void mipmapped_arrays_drop(struct context *context);
void textures_drop(struct context *context);

#endif
