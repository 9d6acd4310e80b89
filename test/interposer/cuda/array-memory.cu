/* What an array takes is memory of the slice like any other, and comes back. On a whole GPU these figures are everybody's, and in coarse steps. */
#include "check.h"

int main() {
    size_t before, during, after, total;
    cudaArray_t array;
    cudaChannelFormatDesc channel = cudaCreateChannelDesc<float>();
    CHECK(cudaMemGetInfo(&before, &total));
    CHECK(cudaMallocArray(&array, &channel, 1024, 1024));
    CHECK(cudaMemGetInfo(&during, &total));
    EXPECT(before - during >= 1024 * 1024 * 4);
    CHECK(cudaFreeArray(array));
    CHECK(cudaMemGetInfo(&after, &total));
    EXPECT(after > during);
    printf("ok\n");
    return 0;
}
