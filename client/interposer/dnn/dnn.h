/*
 * What the files of libcudnn share beyond what libraries of the server's do (library/library.h). Types and numbers are declared from NVIDIA's cuDNN documentation;
 * of cuDNN 9 there is one interface, whose functions up to 9.24 are there by name.
 */
#ifndef SLUICE_DNN_H
#define SLUICE_DNN_H

#include "../library/library.h"

#include "../generated/dnn-functions.h"

/* What the versions are where there is no server to ask, or it has no cuDNN. */
#define DNN_VERSION 92400
#define DNN_CUDART_VERSION 13000

typedef int cudnnStatus_t;

enum {
#define STATUS(number, name) CUDNN_STATUS_##name = number,
#include "statuses.def"
#undef STATUS
};

/* cudnnBackendAttributeType_t, as far as elements are not plain numbers. */
enum { TYPE_HANDLE = 0, TYPE_BOOLEAN = 2, TYPE_INT64 = 3, TYPE_DOUBLE = 5, TYPE_VOID_PTR = 6, TYPE_BACKEND_DESCRIPTOR = 15, TYPE_CHAR = 24, TYPE_FRACTION = 26, TYPE_COUNT = 33 };

/* cudnnBackendDescriptorType_t, as far as this library knows more than the number. */
enum { BACKEND_PLAN = 5, BACKEND_VARIANT_PACK = 16, BACKEND_TENSOR = 17, BACKEND_COUNT = 51 };

/* cudnnBackendAttributeName_t, in the same way. */
enum {
    ATTRIBUTE_TENSOR_UNIQUE_ID = 906,
    ATTRIBUTE_TENSOR_IS_BY_VALUE = 908,
    ATTRIBUTE_PACK_UNIQUE_IDS = 1000,
    ATTRIBUTE_PACK_DATA_POINTERS = 1001,
    ATTRIBUTE_PACK_WORKSPACE = 1003,
};

typedef struct library_handle *cudnnHandle_t;

/* status.c */
const char *status_name(cudnnStatus_t status);
/* functions.c */
void read_scalars(struct sluice_call *call);

#endif
