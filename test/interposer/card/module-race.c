/*
 * One thread loads modules that want memory of the slice's end while others allocate all of the slice, again and again: who comes too late is refused, whoever that
 * is, and the session goes on.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

#include "../driver/driver.h"

/* More modules than the lease has room for beside its slice. */
enum { THREADS = 2, MODULES = 8 };

static CUcontext context;
static atomic_bool is_over;

static void *take_all(void *unused) {
    (void)unused;
    CHECK(cuCtxSetCurrent(context));
    while (!atomic_load(&is_over)) {
        size_t bytes, total;
        CUdeviceptr all;
        CHECK(cuMemGetInfo_v2(&bytes, &total));
        CUresult result = bytes == 0 ? CUDA_ERROR_OUT_OF_MEMORY : cuMemAlloc_v2(&all, bytes);
        EXPECT(result == CUDA_SUCCESS || result == CUDA_ERROR_OUT_OF_MEMORY);
        if (result != CUDA_SUCCESS) continue;
        CHECK(cuMemsetD8_v2(all + bytes - 1, 1, 1));
        CHECK(cuMemFree_v2(all));
        /* Now and then a module finds the end free. */
        usleep(rand() % 300);
    }
    return NULL;
}

int main(void) {
    static const char form[] = PTX_HEADER ".visible .entry ample() { ret; }\n.global .align 4 .b8 large[40][1024][1024];\n//%d\n";
    char image[sizeof form + 16];
    unsigned loaded = 0;
    pthread_t threads[THREADS];
    context = start();
    for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, take_all, NULL);
    for (int i = 0; loaded < MODULES; i++) {
        CUmodule module;
        snprintf(image, sizeof image, form, i);
        CUresult result = cuModuleLoadData(&module, image);
        EXPECT(result == CUDA_SUCCESS || result == CUDA_ERROR_OUT_OF_MEMORY);
        loaded += result == CUDA_SUCCESS;
        CHECK(cuCtxSynchronize());
    }
    atomic_store(&is_over, true);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    size_t bytes, total;
    CUdeviceptr all;
    CHECK(cuMemGetInfo_v2(&bytes, &total));
    EXPECT(bytes < total);
    CHECK(cuMemAlloc_v2(&all, bytes));
    CHECK(cuMemsetD8_v2(all, 0, bytes));
    CHECK(cuCtxSynchronize());
    puts("ok");
    return 0;
}
