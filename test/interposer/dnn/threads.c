/* Several threads, each with a handle and a stream of its own, describe, ask and compute at the same time: what each of them gets is its own. */
#include <pthread.h>

#include "graph.h"

enum { THREADS = 4, TIMES = 6, SIDE = 4 };

static CUcontext context;
/* They come from one sequence. */
static pthread_mutex_t numbers = PTHREAD_MUTEX_INITIALIZER;

/* y = x + b, of descriptors made for it. */
static void *add(void *unused) {
    (void)unused;
    cudnnHandle_t own;
    CUstream stream;
    CUdeviceptr workspace;
    struct array x, b, y;
    CHECK(cuCtxSetCurrent(context));
    STATUS(cudnnCreate(&own), OK);
    CHECK(cuStreamCreate(&stream, 1));
    STATUS(cudnnSetStream(own, stream), OK);
    CHECK(cuMemAlloc_v2(&workspace, 4096));
    pthread_mutex_lock(&numbers);
    x = array_of(SIDE * SIDE), b = array_of(SIDE * SIDE), y = array_of(SIDE * SIDE);
    pthread_mutex_unlock(&numbers);
    for (int time = 0; time < TIMES; time++) {
        descriptor_t tensors[] = {tensor_of('x', 1, 1, SIDE, SIDE, 0), tensor_of('b', 1, 1, SIDE, SIDE, 0), tensor_of('y', 1, 1, SIDE, SIDE, 0)};
        descriptor_t operation = pointwise(ADD, tensors[0], tensors[1], tensors[2]), graph = graph_of(own, &operation, 1), plan = plan_of(own, graph, time % 2);
        const int64_t uids[] = {'x', 'b', 'y'};
        void *pointers[] = {(void *)x.device, (void *)b.device, (void *)y.device};
        descriptor_t pack = pack_of(3, uids, pointers, workspace), all[] = {tensors[0], tensors[1], tensors[2], operation, graph, plan, pack};
        for (size_t i = 0; i < y.count; i++) y.host[i] = x.host[i] + b.host[i];
        CHECK(cuMemsetD32Async(y.device, 0, y.count, stream));
        STATUS(cudnnBackendExecute(own, plan, pack), OK);
        STATUS(cudnnBackendExecute(own, plan, pack), OK);
        CHECK(cuStreamSynchronize(stream));
        EXPECT(is_as_on_host(&y));
        for (size_t i = 0; i < sizeof all / sizeof *all; i++) STATUS(cudnnBackendDestroyDescriptor(all[i]), OK);
    }
    STATUS(cudnnDestroy(own), OK);
    return NULL;
}

int main(void) {
    pthread_t threads[THREADS];
    context = start();
    for (int i = 0; i < THREADS; i++) EXPECT(pthread_create(&threads[i], NULL, add, NULL) == 0);
    for (int i = 0; i < THREADS; i++) EXPECT(pthread_join(threads[i], NULL) == 0);
    printf("ok\n");
    return 0;
}
