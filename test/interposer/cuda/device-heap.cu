/* Kernels that allocate by themselves: the heap's size is a limit of the device, comes out of the slice, and what lies there outlives kernels. */
#include "check.h"

struct Item {
    int value;
    Item *next;
    __device__ Item(int v, Item *n) : value(v), next(n) {}
};

__global__ void build(Item **head, int count) {
    for (int i = 0; i < count; i++) *head = new Item(i, *head);
}

__global__ void sum_and_drop(Item **head, long long *sum) {
    *sum = 0;
    while (*head != nullptr) {
        Item *item = *head;
        *sum += item->value;
        *head = item->next;
        delete item;
    }
}

/* Bytes that can be had at once, in pieces of 64 KiB, which are given back. */
__global__ void room(size_t *bytes) {
    void **last = nullptr;
    *bytes = 0;
    for (void **piece; (piece = (void **)malloc(64 << 10)) != nullptr; last = piece) {
        *piece = last;
        *bytes += 64 << 10;
    }
    while (last != nullptr) {
        void **next = (void **)*last;
        free(last);
        last = next;
    }
}

int main() {
    const size_t wanted = 24 << 20;
    size_t limit, before, after, total, bytes;
    long long sum;
    Item **head;
    long long *sum_there;
    size_t *bytes_there;
    CHECK(cudaDeviceGetLimit(&limit, cudaLimitMallocHeapSize));
    EXPECT(limit == 8 << 20);
    CHECK(cudaMalloc(&head, sizeof *head));
    CHECK(cudaMemset(head, 0, sizeof *head));
    CHECK(cudaMalloc(&sum_there, sizeof *sum_there));
    CHECK(cudaMalloc(&bytes_there, sizeof *bytes_there));
    CHECK(cudaMemGetInfo(&before, &total));

    /* More than the slice has is refused at the launch that needs it, and a size that fits still does. */
    CHECK(cudaDeviceSetLimit(cudaLimitMallocHeapSize, 2 * total));
    build<<<1, 1>>>(head, 1);
    EXPECT(cudaGetLastError() == cudaErrorMemoryAllocation);
    CHECK(cudaDeviceSetLimit(cudaLimitMallocHeapSize, wanted));
    build<<<1, 1>>>(head, 1000);
    build<<<1, 1>>>(head, 1000);
    CHECK(cudaGetLastError());
    CHECK(cudaMemGetInfo(&after, &total));
    EXPECT(before - after == wanted);
    sum_and_drop<<<1, 1>>>(head, sum_there);
    CHECK(cudaMemcpy(&sum, sum_there, sizeof sum, cudaMemcpyDeviceToHost));
    EXPECT(sum == 999000);
    room<<<1, 1>>>(bytes_there);
    CHECK(cudaMemcpy(&bytes, bytes_there, sizeof bytes, cudaMemcpyDeviceToHost));
    EXPECT(bytes <= wanted && bytes > wanted - (1 << 20));

    EXPECT(cudaDeviceSetLimit(cudaLimitMallocHeapSize, 8 << 20) == cudaErrorInvalidValue);
    CHECK(cudaDeviceGetLimit(&limit, cudaLimitMallocHeapSize));
    EXPECT(limit == wanted);
    printf("ok\n");
    return 0;
}
