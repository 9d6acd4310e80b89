/* Building of graphs of operations and of what carries them out. */
#ifndef TEST_DNN_GRAPH_H
#define TEST_DNN_GRAPH_H

#include "dnn.h"

enum { HANDLE = 0, DATA_TYPE = 1, BOOLEAN = 2, INT64 = 3, FLOAT = 4, DOUBLE = 5, VOID_PTR = 6, CONVOLUTION_MODE = 7, HEUR_MODE = 8, NUMERICAL_NOTE = 11, POINTWISE_MODE = 14, DESCRIPTOR = 15 };
enum { POINTWISE = 0, CONVOLUTION = 1, ENGINE = 2, CONFIGURATION = 3, HEURISTICS = 4, PLAN = 5, FORWARD = 10, BACKWARD_FILTER = 11, BACKWARD_DATA = 12, OPERATION_POINTWISE = 13, GRAPH = 15, PACK = 16, TENSOR = 17 };
enum { F32 = 0, CROSS_CORRELATION = 1, ADD = 0, MUL = 1, RELU = 100, BY_VALUE = 908, IS_VIRTUAL = 907 };

static inline descriptor_t create(int type) {
    descriptor_t made;
    STATUS(cudnnBackendCreateDescriptor(type, &made), OK);
    return made;
}

static inline void set(descriptor_t descriptor, int name, int type, int64_t count, const void *elements) {
    STATUS(cudnnBackendSetAttribute(descriptor, name, type, count, elements), OK);
}

static inline void set_int(descriptor_t descriptor, int name, int64_t value) {
    set(descriptor, name, INT64, 1, &value);
}

static inline void set_enum(descriptor_t descriptor, int name, int type, int value) {
    set(descriptor, name, type, 1, &value);
}

static inline void set_part(descriptor_t descriptor, int name, descriptor_t part) {
    set(descriptor, name, DESCRIPTOR, 1, &part);
}

static inline descriptor_t finalize(descriptor_t descriptor) {
    STATUS(cudnnBackendFinalize(descriptor), OK);
    return descriptor;
}

/* Of f32, row by row; `flag` is IS_VIRTUAL, BY_VALUE or 0. */
static inline descriptor_t tensor_of(int64_t uid, int64_t n, int64_t c, int64_t h, int64_t w, int flag) {
    descriptor_t tensor = create(TENSOR);
    bool is_so = true;
    int64_t dimensions[] = {n, c, h, w}, strides[] = {c * h * w, h * w, w, 1};
    set_enum(tensor, 901, DATA_TYPE, F32);
    set_int(tensor, 900, 16);
    set_int(tensor, 906, uid);
    set(tensor, 902, INT64, 4, dimensions);
    set(tensor, 903, INT64, 4, strides);
    if (flag != 0) set(tensor, flag, BOOLEAN, 1, &is_so);
    return finalize(tensor);
}

static inline descriptor_t convolution_of(int64_t padding) {
    descriptor_t convolution = create(CONVOLUTION);
    int64_t ones[] = {1, 1}, paddings[] = {padding, padding};
    set_enum(convolution, 100, DATA_TYPE, F32);
    set_enum(convolution, 101, CONVOLUTION_MODE, CROSS_CORRELATION);
    set_int(convolution, 106, 2);
    set(convolution, 102, INT64, 2, ones);
    set(convolution, 103, INT64, 2, ones);
    set(convolution, 104, INT64, 2, paddings);
    set(convolution, 105, INT64, 2, paddings);
    return finalize(convolution);
}

/* `first` is the kind's first attribute: its alpha, behind which stand beta, the convolution, w, x and y, whatever of them are gradients. */
static inline descriptor_t convolve(int kind, int first, descriptor_t convolution, descriptor_t w, descriptor_t x, descriptor_t y) {
    descriptor_t operation = create(kind);
    double one = 1, zero = 0;
    set(operation, first, DOUBLE, 1, &one);
    set(operation, first + 1, DOUBLE, 1, &zero);
    set_part(operation, first + 2, convolution);
    set_part(operation, first + 3, w);
    set_part(operation, first + 4, x);
    set_part(operation, first + 5, y);
    return finalize(operation);
}

/* `b` may be NULL. */
static inline descriptor_t pointwise(int mode, descriptor_t x, descriptor_t b, descriptor_t y) {
    descriptor_t how = create(POINTWISE), operation = create(OPERATION_POINTWISE);
    set_enum(how, 0, POINTWISE_MODE, mode);
    set_enum(how, 1, DATA_TYPE, F32);
    set_part(operation, 750, finalize(how));
    set_part(operation, 751, x);
    if (b != NULL) set_part(operation, 752, b);
    set_part(operation, 753, y);
    finalize(operation);
    STATUS(cudnnBackendDestroyDescriptor(how), OK);
    return operation;
}

static inline descriptor_t graph_of(cudnnHandle_t handle, descriptor_t *operations, int count) {
    descriptor_t graph = create(GRAPH);
    set(graph, 800, HANDLE, 1, &handle);
    set(graph, 801, DESCRIPTOR, count, operations);
    return finalize(graph);
}

/* A plan by the configuration that comes at this place. */
static inline descriptor_t plan_of(cudnnHandle_t handle, descriptor_t graph, int place) {
    descriptor_t heuristics = create(HEURISTICS), found[4], plan = create(PLAN);
    int64_t count = 0;
    set_part(heuristics, 201, graph);
    set_enum(heuristics, 200, HEUR_MODE, 0);
    finalize(heuristics);
    STATUS(cudnnBackendGetAttribute(heuristics, 202, DESCRIPTOR, 0, &count, NULL), OK);
    EXPECT(count > place && count <= 4);
    for (int i = 0; i < 4; i++) found[i] = create(CONFIGURATION);
    STATUS(cudnnBackendGetAttribute(heuristics, 202, DESCRIPTOR, 4, &count, found), OK);
    EXPECT(count > place && count <= 4);
    /* As programs do to choose among them, also twice in one descriptor. */
    descriptor_t engine = create(ENGINE);
    int64_t index = -1, one = 0;
    for (int i = 0; i < count; i++) {
        STATUS(cudnnBackendGetAttribute(found[i], 300, DESCRIPTOR, 1, &one, &engine), OK);
        STATUS(cudnnBackendGetAttribute(engine, 1301, INT64, 1, &one, &index), OK);
        EXPECT(one == 1 && index == i);
        STATUS(cudnnBackendGetAttribute(engine, 1303, NUMERICAL_NOTE, 0, &one, NULL), OK);
    }
    STATUS(cudnnBackendDestroyDescriptor(engine), OK);
    set(plan, 400, HANDLE, 1, &handle);
    set_part(plan, 401, found[place]);
    finalize(plan);
    for (int i = 0; i < 4; i++) STATUS(cudnnBackendDestroyDescriptor(found[i]), OK);
    STATUS(cudnnBackendDestroyDescriptor(heuristics), OK);
    return plan;
}

static inline int64_t workspace_of(descriptor_t plan) {
    int64_t bytes = -1, count = 0;
    STATUS(cudnnBackendGetAttribute(plan, 402, INT64, 1, &count, &bytes), OK);
    EXPECT(count == 1 && bytes >= 0);
    return bytes;
}

static inline descriptor_t pack_of(int count, const int64_t *uids, void *const *pointers, CUdeviceptr workspace) {
    descriptor_t pack = create(PACK);
    set(pack, 1000, INT64, count, uids);
    set(pack, 1001, VOID_PTR, count, pointers);
    set(pack, 1003, VOID_PTR, 1, &workspace);
    return finalize(pack);
}

#endif
