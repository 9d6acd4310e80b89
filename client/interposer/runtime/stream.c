/* Streams and events of the runtime API. */
#include "runtime.h"

CONTEXT(cudaStreamCreate, (cudaStream_t * stream), (stream)) {
    return cuStreamCreateWithPriority(stream, 0, 0);
}

CONTEXT(cudaStreamCreateWithFlags, (cudaStream_t * stream, unsigned int flags), (stream, flags)) {
    return cuStreamCreateWithPriority(stream, flags, 0);
}

CONTEXT(cudaStreamCreateWithPriority, (cudaStream_t * stream, unsigned int flags, int priority), (stream, flags, priority)) {
    return cuStreamCreateWithPriority(stream, flags, priority);
}

CONTEXT(cudaStreamDestroy, (cudaStream_t stream), (stream)) {
    return cuStreamDestroy_v2(stream);
}

CONTEXT(cudaStreamSynchronize, (cudaStream_t stream), (stream)) {
    return cuStreamSynchronize(stream);
}
RUNTIME_ALIAS(cudaStreamSynchronize_ptsz, cudaStreamSynchronize);

CONTEXT(cudaStreamQuery, (cudaStream_t stream), (stream)) {
    return cuStreamQuery(stream);
}
RUNTIME_ALIAS(cudaStreamQuery_ptsz, cudaStreamQuery);

CONTEXT(cudaStreamWaitEvent, (cudaStream_t stream, cudaEvent_t event, unsigned int flags), (stream, event, flags)) {
    return cuStreamWaitEvent(stream, event, flags);
}
RUNTIME_ALIAS(cudaStreamWaitEvent_ptsz, cudaStreamWaitEvent);

CONTEXT(cudaStreamAddCallback, (cudaStream_t stream, CUstreamCallback callback, void *user_data, unsigned int flags),
        (stream, callback, user_data, flags)) {
    return cuStreamAddCallback(stream, callback, user_data, flags);
}
RUNTIME_ALIAS(cudaStreamAddCallback_ptsz, cudaStreamAddCallback);

CONTEXT(cudaStreamGetFlags, (cudaStream_t stream, unsigned int *flags), (stream, flags)) {
    return cuStreamGetFlags(stream, flags);
}
RUNTIME_ALIAS(cudaStreamGetFlags_ptsz, cudaStreamGetFlags);

CONTEXT(cudaStreamGetPriority, (cudaStream_t stream, int *priority), (stream, priority)) {
    return cuStreamGetPriority(stream, priority);
}
RUNTIME_ALIAS(cudaStreamGetPriority_ptsz, cudaStreamGetPriority);

CONTEXT(cudaStreamGetId, (cudaStream_t stream, unsigned long long *id), (stream, id)) {
    return cuStreamGetId(stream, id);
}
RUNTIME_ALIAS(cudaStreamGetId_ptsz, cudaStreamGetId);

CONTEXT(cudaStreamGetDevice, (cudaStream_t stream, int *device), (stream, device)) {
    return cuStreamGetDevice(stream, device);
}
RUNTIME_ALIAS(cudaStreamGetDevice_ptsz, cudaStreamGetDevice);

CONTEXT(cudaEventCreate, (cudaEvent_t * event), (event)) {
    return cuEventCreate(event, 0);
}

CONTEXT(cudaEventCreateWithFlags, (cudaEvent_t * event, unsigned int flags), (event, flags)) {
    return cuEventCreate(event, flags);
}

CONTEXT(cudaEventDestroy, (cudaEvent_t event), (event)) {
    return cuEventDestroy_v2(event);
}

CONTEXT(cudaEventRecord, (cudaEvent_t event, cudaStream_t stream), (event, stream)) {
    return cuEventRecord(event, stream);
}
RUNTIME_ALIAS(cudaEventRecord_ptsz, cudaEventRecord);

CONTEXT(cudaEventRecordWithFlags, (cudaEvent_t event, cudaStream_t stream, unsigned int flags), (event, stream, flags)) {
    return flags > 1 ? CUDA_ERROR_INVALID_VALUE : cuEventRecord(event, stream);
}
RUNTIME_ALIAS(cudaEventRecordWithFlags_ptsz, cudaEventRecordWithFlags);

CONTEXT(cudaEventQuery, (cudaEvent_t event), (event)) {
    return cuEventQuery(event);
}

CONTEXT(cudaEventSynchronize, (cudaEvent_t event), (event)) {
    return cuEventSynchronize(event);
}

CONTEXT(cudaEventElapsedTime, (float *milliseconds, cudaEvent_t start, cudaEvent_t end), (milliseconds, start, end)) {
    return cuEventElapsedTime_v2(milliseconds, start, end);
}
#if CUDART_MAJOR == 12
RUNTIME_ALIAS(cudaEventElapsedTime_v2, cudaEventElapsedTime);
#endif

CUresult cuStreamGetAttribute(CUstream stream, int attribute, void *value);
CUresult cuStreamSetAttribute(CUstream stream, int attribute, const void *value);
CUresult cuStreamCopyAttributes(CUstream to, CUstream from);

SAME(cudaStreamGetAttribute, cuStreamGetAttribute, (cudaStream_t stream, int attribute, void *value), (stream, attribute, value))
RUNTIME_ALIAS(cudaStreamGetAttribute_ptsz, cudaStreamGetAttribute);
SAME(cudaStreamSetAttribute, cuStreamSetAttribute, (cudaStream_t stream, int attribute, const void *value), (stream, attribute, value))
RUNTIME_ALIAS(cudaStreamSetAttribute_ptsz, cudaStreamSetAttribute);
SAME(cudaStreamCopyAttributes, cuStreamCopyAttributes, (cudaStream_t to, cudaStream_t from), (to, from))
RUNTIME_ALIAS(cudaStreamCopyAttributes_ptsz, cudaStreamCopyAttributes);
