/* What a node of a graph does: made from the parameters that a program gives, copied with all they refer to, and dropped. */
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "graph.h"

/* The pointers first, then the block. */
static void **kernel_storage(const struct function *function, const uint8_t *block) {
    size_t pointers = (function->parameter_count + 1) * sizeof(void *);
    size_t bytes = sluice_pad8(function->parameter_bytes);
    void **storage = calloc(1, pointers + bytes + 8);
    if (storage == NULL) return NULL;
    uint8_t *copy = (uint8_t *)storage + pointers;
    if (function->parameter_bytes > 0) memcpy(copy, block, function->parameter_bytes);
    for (uint32_t i = 0; i < function->parameter_count; i++) storage[i] = copy + function->parameters[i].offset;
    return storage;
}

static CUresult store_kernel(struct node_work *work, const uint8_t *block) {
    const struct function *function = work->kernel.function;
    if (!object_is(function, OBJECT_FUNCTION)) return CUDA_ERROR_INVALID_HANDLE;
    work->kernel.pointers = kernel_storage(function, block);
    if (work->kernel.pointers == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
    work->kernel.call.params.data = (uint8_t *)work->kernel.pointers + (function->parameter_count + 1) * sizeof(void *);
    return CUDA_SUCCESS;
}

CUresult work_copy(struct node_work *to, const struct node_work *from) {
    struct node_work copy = *from;
    CUresult result = CUDA_SUCCESS;
    if (from->type == NODE_KERNEL) result = store_kernel(&copy, from->kernel.call.params.data);
    else if (from->type == NODE_CHILD) result = graph_clone(from->child, &copy.child);
    else if (from->type == NODE_ALLOCATE) atomic_fetch_add(&from->memory->users, 1);
    else if (from->type == NODE_LIBRARY) library_work_hold(from->library);
    if (result == CUDA_SUCCESS) *to = copy;
    return result;
}

void work_drop(struct node_work *work) {
    if (work->type == NODE_KERNEL) {
        free(work->kernel.pointers);
    } else if (work->type == NODE_CHILD) {
        graph_drop(work->child);
    } else if (work->type == NODE_LIBRARY) {
        library_work_drop(work->library);
    } else if (work->type == NODE_ALLOCATE && atomic_fetch_sub(&work->memory->users, 1) == 1) {
        graph_memory_drop(work->memory->device, work->memory->address);
        free(work->memory);
    }
    *work = (struct node_work){.type = NODE_EMPTY};
}

CUresult work_of_kernel(const CUDA_KERNEL_NODE_PARAMS *params, struct node_work *work) {
    struct context *context;
    uint8_t block[SLUICE_PARAM_BYTES_MAX + 8];
    CUresult result = current_context(&context);
    if (result != CUDA_SUCCESS) return result;
    if (params == NULL) return CUDA_ERROR_INVALID_VALUE;
    struct launch_wish wish = {
        .handle = params->function != NULL ? params->function : (CUfunction)params->kernel,
        .grid = {params->grid_x, params->grid_y, params->grid_z},
        .block = {params->block_x, params->block_y, params->block_z},
        .shared_bytes = params->shared_bytes, .params = params->params, .extra = params->extra,
    };
    struct node_work made = {.type = NODE_KERNEL, .kernel = {.handle = wish.handle}};
    result = launch_describe(&wish, context->device, &made.kernel.call, block, &made.kernel.function);
    if (result == CUDA_SUCCESS) result = store_kernel(&made, made.kernel.call.params.data);
    if (result == CUDA_SUCCESS) *work = made;
    return result;
}

CUresult work_of_copy(const CUDA_MEMCPY3D *copy, struct node_work *work) {
    if (copy == NULL) return CUDA_ERROR_INVALID_VALUE;
    struct CUarray_st *array;
    if (copy->src_type == CU_MEMORY_ARRAY && array_of(copy->src_array, &array) != CUDA_SUCCESS) return CUDA_ERROR_INVALID_VALUE;
    if (copy->dst_type == CU_MEMORY_ARRAY && array_of(copy->dst_array, &array) != CUDA_SUCCESS) return CUDA_ERROR_INVALID_VALUE;
    if (copy->src_type < CU_MEMORY_HOST || copy->src_type > CU_MEMORY_UNIFIED) return CUDA_ERROR_INVALID_VALUE;
    if (copy->dst_type < CU_MEMORY_HOST || copy->dst_type > CU_MEMORY_UNIFIED) return CUDA_ERROR_INVALID_VALUE;
    *work = (struct node_work){.type = NODE_COPY, .copy = *copy};
    return CUDA_SUCCESS;
}

CUresult work_of_fill(const CUDA_MEMSET_NODE_PARAMS *fill, struct node_work *work) {
    struct device *device;
    if (fill == NULL || (fill->element_bytes != 1 && fill->element_bytes != 2 && fill->element_bytes != 4)) return CUDA_ERROR_INVALID_VALUE;
    if (fill->width == 0 || fill->height == 0 || fill->address % fill->element_bytes != 0) return CUDA_ERROR_INVALID_VALUE;
    if (fill->width > SIZE_MAX / fill->element_bytes) return CUDA_ERROR_INVALID_VALUE;
    size_t row = fill->width * fill->element_bytes;
    if (fill->height > 1 && fill->pitch < row) return CUDA_ERROR_INVALID_VALUE;
    if (fill->height > 1 && fill->height - 1 > (SIZE_MAX - row) / fill->pitch) return CUDA_ERROR_INVALID_VALUE;
    size_t bytes = fill->height > 1 ? (fill->height - 1) * fill->pitch + row : row;
    if (range_check(fill->address, bytes, &device) != CUDA_SUCCESS) return CUDA_ERROR_INVALID_VALUE;
    *work = (struct node_work){.type = NODE_FILL, .fill = *fill};
    return CUDA_SUCCESS;
}

CUresult work_of_host(const CUDA_HOST_NODE_PARAMS *host, struct node_work *work) {
    if (host == NULL || host->function == NULL) return CUDA_ERROR_INVALID_VALUE;
    *work = (struct node_work){.type = NODE_HOST, .host = *host};
    return CUDA_SUCCESS;
}

CUresult work_of_event(int type, CUevent event, struct node_work *work) {
    if (!object_is(event, OBJECT_EVENT)) return CUDA_ERROR_INVALID_VALUE;
    *work = (struct node_work){.type = type, .event = event};
    return CUDA_SUCCESS;
}

CUresult work_of_memory(struct context *context, CUDA_MEM_ALLOC_NODE_PARAMS *params, struct node_work *work) {
    if (params == NULL || params->bytes == 0) return CUDA_ERROR_INVALID_VALUE;
    if (params->pool.location.type != CU_MEM_LOCATION_DEVICE || params->pool.allocation_type != 1) return CUDA_ERROR_INVALID_VALUE;
    if (params->pool.handle_types != 0) return CUDA_ERROR_NOT_SUPPORTED;
    struct device *device = context->device;
    CUresult result = device_of(params->pool.location.id, &device);
    if (result != CUDA_SUCCESS) return result;
    struct graph_memory *memory = calloc(1, sizeof *memory);
    if (memory == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
    CUdeviceptr address = 0;
    result = memory_allocate(&device->graphs, params->bytes, 0, &address);
    if (result != CUDA_SUCCESS) {
        free(memory);
        return result;
    }
    params->address = memory->address = address;
    memory->device = device;
    memory->params = *params;
    memory->params.access = NULL;
    memory->params.access_count = 0;
    atomic_store(&memory->users, 1);
    *work = (struct node_work){.type = NODE_ALLOCATE, .memory = memory};
    return CUDA_SUCCESS;
}

/* Only memory of graphs is freed by graphs; it stays theirs, so there is nothing to be done for it at a launch. */
CUresult work_of_free(CUdeviceptr address, struct node_work *work) {
    if (!is_graph_memory(address)) {
        trace("a graph that frees memory which no graph has allocated is not supported");
        return CUDA_ERROR_NOT_SUPPORTED;
    }
    *work = (struct node_work){.type = NODE_FREE, .freed = address};
    return CUDA_SUCCESS;
}

bool fill_is_line(const CUDA_MEMSET_NODE_PARAMS *fill, struct sluice_fill_call *call) {
    size_t count = fill->width;
    if (fill->height > 1 && fill->pitch != fill->width * fill->element_bytes) return false;
    if (fill->height > 1) count *= fill->height;
    *call = (struct sluice_fill_call){.address = fill->address, .count = count, .width = fill->element_bytes, .value = fill->value};
    return true;
}
