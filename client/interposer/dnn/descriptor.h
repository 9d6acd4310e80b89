/* Backend descriptors: attributes that are set here, and what they are on the server once they are finalized. */
#ifndef SLUICE_DNN_DESCRIPTOR_H
#define SLUICE_DNN_DESCRIPTOR_H

#include "dnn.h"

struct attribute {
    uint32_t name, type, count;
    /* As they travel. */
    struct sluice_bytes data;
};

struct backend_descriptor {
    uint32_t magic;
    /* cudnnBackendDescriptorType_t. */
    int type;
    bool is_finalized;
    /* Of an execution plan: it has been carried out once, which its server has said. */
    atomic_bool has_run;
    struct attribute *attributes;
    size_t attribute_count;
    /* What the attributes name, held. */
    struct sluice_library_object **needs;
    size_t need_count;
    /* NULL before it is finalized, and of a variant pack for good. */
    struct sluice_library_object *object;
    /* Of an execution plan: the tensors by value among those that it is made of. */
    const struct sluice_library_object **values;
    size_t value_count;
};

bool is_descriptor(const struct backend_descriptor *descriptor, int type);
/* NULL where it is not set. */
const struct attribute *attribute_of(const struct backend_descriptor *descriptor, uint32_t name);

#endif
