/* What the programs in this folder declare of cuBLASLt, from its documentation. */
#ifndef TEST_BLAS_LIGHT_H
#define TEST_BLAS_LIGHT_H

#include "blas.h"

typedef struct { uint64_t data[8]; } layout_t;
typedef struct { uint64_t data[32]; } operation_t;
typedef struct { uint64_t data[8]; } preference_t;
typedef struct { uint64_t data[8]; } algorithm_t;
typedef struct { algorithm_t algorithm; size_t workspace; int state; float waves; int reserved[4]; } result_t;

int cublasLtCreate(void **handle);
int cublasLtDestroy(void *handle);
size_t cublasLtGetVersion(void);
int cublasLtMatrixLayoutInit_internal(layout_t *layout, size_t bytes, int type, uint64_t rows, uint64_t columns, int64_t leading);
int cublasLtMatrixLayoutCreate(layout_t **layout, int type, uint64_t rows, uint64_t columns, int64_t leading);
int cublasLtMatrixLayoutDestroy(layout_t *layout);
int cublasLtMatrixLayoutSetAttribute(layout_t *layout, int attribute, const void *from, size_t bytes);
int cublasLtMatrixLayoutGetAttribute(layout_t *layout, int attribute, void *to, size_t bytes, size_t *written);
int cublasLtMatmulDescInit_internal(operation_t *operation, size_t bytes, int compute, int scale);
int cublasLtMatmulDescCreate(operation_t **operation, int compute, int scale);
int cublasLtMatmulDescDestroy(operation_t *operation);
int cublasLtMatmulDescSetAttribute(operation_t *operation, int attribute, const void *from, size_t bytes);
int cublasLtMatmulDescGetAttribute(operation_t *operation, int attribute, void *to, size_t bytes, size_t *written);
int cublasLtMatmulPreferenceCreate(preference_t **preference);
int cublasLtMatmulPreferenceDestroy(preference_t *preference);
int cublasLtMatmulPreferenceSetAttribute(preference_t *preference, int attribute, const void *from, size_t bytes);
int cublasLtMatmulAlgoGetHeuristic(void *handle, operation_t *operation, layout_t *a, layout_t *b, layout_t *c, layout_t *d,
                                   preference_t *preference, int wanted, result_t *results, int *count);
int cublasLtMatmulAlgoCheck(void *handle, operation_t *operation, layout_t *a, layout_t *b, layout_t *c, layout_t *d,
                            const algorithm_t *algorithm, result_t *result);
int cublasLtMatmul(void *handle, operation_t *operation, const void *alpha, const void *a, layout_t *a_layout, const void *b, layout_t *b_layout,
                   const void *beta, const void *c, layout_t *c_layout, void *d, layout_t *d_layout, const algorithm_t *algorithm,
                   void *workspace, size_t workspace_bytes, CUstream stream);

enum { A_SCALE = 17, B_SCALE = 18, D_SCALE = 20, A_SCALE_MODE = 31 };
enum { ORDER = 1, BATCH_COUNT = 5, BATCH_STRIDE = 6, POINTER_MODE = 2, TRANSA = 3, TRANSB = 4, EPILOGUE = 7, BIAS = 8 };

#endif
