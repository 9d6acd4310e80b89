/* Attributes of streams: hints about caches and waiting, kept so that they read back. */
#include <stdlib.h>
#include <string.h>

#include "driver.h"

enum { ATTRIBUTE_LAST = 19, ATTRIBUTE_WAITING = 3, ATTRIBUTE_PRIORITY = 8 };

static CUresult stream_with(CUstream handle, int attribute, const void *value, struct stream **stream) {
    CUresult result = stream_of(handle, stream);
    if (result != CUDA_SUCCESS) return result;
    return value == NULL || attribute < 1 || attribute > ATTRIBUTE_LAST ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

API(cuStreamSetAttribute, (CUstream handle, int attribute, const void *value), (handle, attribute, value)) {
    struct stream *stream;
    CUresult result = stream_with(handle, attribute, value, &stream);
    if (result != CUDA_SUCCESS) return result;
    if (stream->attributes == NULL) stream->attributes = calloc(ATTRIBUTE_LAST + 1, sizeof *stream->attributes);
    if (stream->attributes == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
    memcpy(stream->attributes[attribute], value, sizeof *stream->attributes);
    return CUDA_SUCCESS;
}
API_ALIAS(cuStreamSetAttribute_ptsz, cuStreamSetAttribute);

API(cuStreamGetAttribute, (CUstream handle, int attribute, void *value), (handle, attribute, value)) {
    struct stream *stream;
    CUresult result = stream_with(handle, attribute, value, &stream);
    if (result != CUDA_SUCCESS) return result;
    memset(value, 0, sizeof *stream->attributes);
    if (stream->attributes != NULL) memcpy(value, stream->attributes[attribute], sizeof *stream->attributes);
    else if (attribute == ATTRIBUTE_WAITING) *(int *)value = 1; /* CU_SYNC_POLICY_AUTO */
    if (attribute == ATTRIBUTE_PRIORITY) *(int *)value = stream->priority;
    return CUDA_SUCCESS;
}
API_ALIAS(cuStreamGetAttribute_ptsz, cuStreamGetAttribute);

API(cuStreamCopyAttributes, (CUstream to, CUstream from), (to, from)) {
    struct stream *source, *target;
    CUresult result = stream_of(from, &source);
    if (result == CUDA_SUCCESS) result = stream_of(to, &target);
    for (int i = 1; result == CUDA_SUCCESS && source->attributes != NULL && i <= ATTRIBUTE_LAST; i++)
        result = cuStreamSetAttribute(to, i, source->attributes[i]);
    return result;
}
API_ALIAS(cuStreamCopyAttributes_ptsz, cuStreamCopyAttributes);
