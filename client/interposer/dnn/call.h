/* One call of a function of the table (proto/README.md, `dnnCall`), as the functions of generated/dnn-functions.h pack it. */
#ifndef SLUICE_DNN_CALL_H
#define SLUICE_DNN_CALL_H

#include "dnn.h"
#include "../generated/dnn-functions.h"

/* As many as any function has, and some. */
enum { SLOTS_MAX = 48, DESCRIPTORS_MAX = 12, RESULTS_MAX = 16 };

/* What an algorithm of a convolution costs: cudnnConvolutionFwdAlgoPerf_t and its like. */
struct sluice_dnn_perf {
    int32_t algorithm, status;
    float milliseconds;
    uint64_t workspace_bytes;
    int32_t determinism, math, reserved[3];
};

struct table_descriptor;

/* A descriptor, and where in the arguments its number stands. */
struct named_descriptor {
    struct table_descriptor *descriptor;
    size_t at;
};

/* Where a result of so many bytes goes: a number, or an array. */
struct result {
    void *into;
    size_t bytes;
    bool is_array, is_address;
};

/* An argument of eight bytes, or an array, and what it is beside a number. */
enum slot_kind { SLOT_NUMBER, SLOT_ADDRESS, SLOT_SCALAR, SLOT_INDIFFERENT };
struct slot {
    /* INDIFFERENT is what no library chooses by what it does. */
    enum slot_kind kind;
    size_t at, bytes;
    /* Where the program has the scalar. */
    const void *scalar;
};

/* Bytes of arguments that need no memory of their own. */
#define CALL_BYTES 512

struct sluice_dnn_call {
    uint32_t function;
    const char *name;
    /* The first thing that is wrong with it. */
    cudnnStatus_t status;
    cudnnHandle_t handle;
    /* The arguments as they travel, in `room` or memory of malloc. */
    uint8_t *bytes;
    size_t byte_count, capacity;
    struct slot slots[SLOTS_MAX];
    size_t slot_count;
    /* The cudnnDataType_t that the call names, or -1. */
    int32_t type;
    /* Whether it needs device memory. */
    bool needs_memory;
    struct named_descriptor used[DESCRIPTORS_MAX], set[DESCRIPTORS_MAX];
    size_t used_count, set_count;
    void **made;
    enum sluice_dnn_kind made_kind;
    struct result results[RESULTS_MAX];
    size_t result_count;
    uint8_t room[CALL_BYTES] __attribute__((aligned(8)));
};

/* functions.c: the call's addresses, of which there are at most SLOTS_MAX. Returns how many. */
size_t call_addresses(const struct sluice_dnn_call *call, uint64_t *addresses);

/* answers.c: writes the results to where the program wants them; false where they are not what was asked for. */
bool answer_unpack(const struct sluice_dnn_call *call, struct sluice_bytes packed);
/* What tells the question from others, in memory of malloc; NULL without. To be made before it is said which descriptors it sets. */
struct sluice_bytes answer_key(const struct sluice_dnn_call *call, uint32_t device);
/* Gives the program what is remembered of the same question, results and descriptors; false, and nothing is done, where nothing is. */
bool answer_recall(const struct sluice_dnn_call *call, struct sluice_bytes key);
/* Remembers an answer, and the objects of the descriptors that the call has set. */
void answer_keep(const struct sluice_dnn_call *call, struct sluice_bytes key, struct sluice_bytes packed, struct sluice_dnn_object *const *set);

/* table-descriptor.c: what a program has set of a descriptor, and the server's that is the same. */
cudnnStatus_t table_descriptor_make(void **made, enum sluice_dnn_kind kind);
/* NULL where it is none of that kind. */
struct table_descriptor *table_descriptor_of(void *descriptor, enum sluice_dnn_kind kind);
void table_descriptor_destroy(struct table_descriptor *descriptor);
/* The type of what it describes, or -1. */
int32_t table_descriptor_type(const struct table_descriptor *descriptor);
/* Notes the call, which sets the descriptor and does nothing else, with what it names. */
cudnnStatus_t table_descriptor_set(struct table_descriptor *descriptor, const struct sluice_dnn_call *call, struct sluice_dnn_object *const *needs);
/* The server's descriptor on a device, which the caller holds then. */
cudnnStatus_t table_descriptor_object(struct table_descriptor *descriptor, uint32_t device, struct sluice_dnn_object **object);
/* A descriptor of its own on the server, for a call that sets it and does more, which the caller holds then too. */
cudnnStatus_t table_descriptor_renew(struct table_descriptor *descriptor, uint32_t device, int32_t type, struct sluice_dnn_object **object);
/* Has it be what an object is, in place of all that was set. */
void table_descriptor_adopt(struct table_descriptor *descriptor, struct sluice_dnn_object *object, int32_t type);

#endif
