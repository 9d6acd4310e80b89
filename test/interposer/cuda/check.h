/* What the CUDA C programs share: stopping at the first call that fails. */
#ifndef TEST_CHECK_H
#define TEST_CHECK_H

#include <cuda_runtime.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

/* What Sluice keeps of NVIDIA's documents, and a card's own driver does not: not asked of that. */
static inline bool is_borrowed() { return getenv("SLUICE_LEASE") != NULL; }

#define CHECK(call)                                                                                                                     \
    do {                                                                                                                                \
        cudaError_t check_error = (call);                                                                                               \
        if (check_error != cudaSuccess) {                                                                                               \
            printf("line %d: %s: %s\n", __LINE__, #call, cudaGetErrorName(check_error));                                                \
            exit(1);                                                                                                                    \
        }                                                                                                                               \
    } while (0)

#define EXPECT(condition)                                                                                                               \
    do {                                                                                                                                \
        if (!(condition)) {                                                                                                             \
            printf("line %d: %s does not hold\n", __LINE__, #condition);                                                                \
            exit(1);                                                                                                                    \
        }                                                                                                                               \
    } while (0)

#endif
