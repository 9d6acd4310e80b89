/* One call of a function of a library's table (proto/README.md, `libraryCall`), as the generated functions pack it. */
#ifndef SLUICE_LIBRARY_CALL_H
#define SLUICE_LIBRARY_CALL_H

#include "library.h"

/* As many as any function has, and some. */
enum { SLOTS_MAX = 48, DESCRIPTORS_MAX = 12, RESULTS_MAX = 16 };

struct table_descriptor;

/* More than the memory of a call and what its descriptors hold. */
enum { HELD_MAX = 4, SPANS_MAX = SLOTS_MAX + DESCRIPTORS_MAX * HELD_MAX };

/* A descriptor, where in the arguments its number stands, and whether the call changes it while it uses it. */
struct named_descriptor {
    struct table_descriptor *descriptor;
    size_t at;
    bool is_changed;
};

/* Where a result of so many bytes goes: a number, or an array. */
struct result {
    void *into;
    size_t bytes;
    bool is_array, is_address;
};

/* An argument of eight bytes, or an array, and what it is beside a number. */
enum slot_kind { SLOT_NUMBER, SLOT_ADDRESS, SLOT_HELD, SLOT_SCALAR, SLOT_INDIFFERENT };
struct slot {
    /* INDIFFERENT is what no library chooses by what it does; a HELD address is for a descriptor to keep. */
    enum slot_kind kind;
    size_t at, bytes;
    union {
        /* Where the program has the scalar. */
        const void *scalar;
        /* How much memory there is to be behind the address, at least. */
        uint64_t span_bytes;
    };
};

/* Bytes of arguments that need no memory of their own. */
#define CALL_BYTES 512

struct sluice_call {
    uint32_t function;
    const char *name;
    /* The first thing that is wrong with it. */
    int status;
    struct library_handle *handle;
    /* The arguments as they travel, in `room` or memory of malloc. */
    uint8_t *bytes;
    size_t byte_count, capacity;
    struct slot slots[SLOTS_MAX];
    size_t slot_count;
    /* The cudnnDataType_t that the call names, or -1. */
    int32_t type;
    /* What tells apart things that one function sets. */
    int32_t which;
    /* Whether it needs device memory. */
    bool needs_memory;
    struct named_descriptor used[DESCRIPTORS_MAX], set[DESCRIPTORS_MAX];
    size_t used_count, set_count;
    /* Whether what it sets it fills, too. */
    bool is_filling;
    void **made;
    uint32_t made_kind;
    struct result results[RESULTS_MAX];
    size_t result_count;
    uint8_t room[CALL_BYTES] __attribute__((aligned(8)));
};

/* call.c: what the generated functions are made of, each of which packs an argument. Sizes are in bytes, and of 0 or less for what is not looked at. */
void sluice_call_begin(struct sluice_call *call, uint32_t function, const char *name);
int sluice_call_end(struct sluice_call *call);
void sluice_call_handle(struct sluice_call *call, void *handle);
void sluice_call_i8(struct sluice_call *call, signed char value);
void sluice_call_i32(struct sluice_call *call, int32_t value);
void sluice_call_type(struct sluice_call *call, int32_t value);
void sluice_call_u32(struct sluice_call *call, uint32_t value);
void sluice_call_i64(struct sluice_call *call, int64_t value);
void sluice_call_u64(struct sluice_call *call, uint64_t value);
void sluice_call_f32(struct sluice_call *call, float value);
void sluice_call_f64(struct sluice_call *call, double value);
void sluice_call_pointer(struct sluice_call *call, const void *pointer, bool is_optional, double bytes);
/* One element of so many bytes in the host's memory, at most 16. */
void sluice_call_factor(struct sluice_call *call, const void *element, size_t bytes);
void sluice_call_exact(struct sluice_call *call, uint64_t value, double wanted);
void sluice_call_which(struct sluice_call *call, int32_t value);
void sluice_call_held(struct sluice_call *call, const void *pointer);
void sluice_call_inout(struct sluice_call *call, uint64_t *number);
/* What such a number is before. */
static inline double sluice_given(const uint64_t *number) {
    return number == NULL ? 0 : (double)*number;
}
void sluice_call_scalar(struct sluice_call *call, const void *pointer, bool is_optional);
void sluice_call_array(struct sluice_call *call, const void *values, int32_t count, size_t each, bool is_optional);
void sluice_call_counted_ints(struct sluice_call *call, const int32_t *values, int32_t count);
void sluice_call_descriptor(struct sluice_call *call, void *given, uint32_t kind, bool is_optional);
void sluice_call_change_descriptor(struct sluice_call *call, void *given, uint32_t kind);
void sluice_call_set_descriptor(struct sluice_call *call, void *given, uint32_t kind, bool is_optional);
void sluice_call_fill_descriptor(struct sluice_call *call, void *given, uint32_t kind);
void sluice_call_new_descriptor(struct sluice_call *call, void **made, uint32_t kind);
void sluice_call_out(struct sluice_call *call, void *into, size_t bytes);
void sluice_call_out_pointer(struct sluice_call *call, void **into);
void sluice_call_out_optional_pointer(struct sluice_call *call, void **into);
void sluice_call_out_array(struct sluice_call *call, void *into, int32_t count, size_t each);
/* The same where the program may do without: then it says so. */
void sluice_call_out_optional(struct sluice_call *call, void *into, int32_t count, size_t each);
int sluice_call_destroy(void *given, uint32_t kind);
static inline double sluice_max(double a, double b) {
    return a > b ? a : b;
}
static inline double sluice_min(double a, double b) {
    return a < b ? a : b;
}
/* Elements from the first to behind the last of matrices of columns, `leading` apart, of which the next is `stride` further on. */
static inline double sluice_reach(double rows, double columns, double leading, double stride, double count) {
    return rows > 0 && columns > 0 && count > 0 ? stride * (count - 1) + leading * (columns - 1) + rows : 0;
}
/* Bytes of an element by its cudaDataType; 0 for one that is not known. */
double sluice_data_type_bytes(int32_t type);

/* For what is a library's own: notes the first thing that is wrong, and packs an element as it is. */
void call_fail(struct sluice_call *call, int status);
void call_put(struct sluice_call *call, const void *value, size_t bytes);

/* The call's memory, of which there are at most SLOTS_MAX pieces. Returns how many. */
size_t call_spans(const struct sluice_call *call, struct sluice_span *spans);

/* answers.c: writes the results to where the program wants them; false where they are not what was asked for. */
bool answer_unpack(const struct sluice_call *call, struct sluice_bytes packed);
/* What tells the question from others, in memory of malloc; NULL without. To be made before it is said which descriptors it sets. */
struct sluice_bytes answer_key(const struct sluice_call *call, uint32_t device);
/* Gives the program what is remembered of the same question, results and descriptors; false, and nothing is done, where nothing is. */
bool answer_recall(const struct sluice_call *call, struct sluice_bytes key);
/* Remembers an answer, and the objects of the descriptors that the call has set. */
void answer_keep(const struct sluice_call *call, struct sluice_bytes key, struct sluice_bytes packed, struct sluice_library_object *const *set);

/* table-descriptor.c: what a program has set of a descriptor, and the server's that is the same. */
int table_descriptor_make(void **made, uint32_t kind);
/* NULL where it is none of that kind. */
struct table_descriptor *table_descriptor_of(void *descriptor, uint32_t kind);
void table_descriptor_destroy(struct table_descriptor *descriptor);
/* The type of what it describes, or -1. */
int32_t table_descriptor_type(const struct table_descriptor *descriptor);
/* Notes the call, which makes or sets the descriptor and does nothing else, with what it names. */
int table_descriptor_set(struct table_descriptor *descriptor, const struct sluice_call *call, struct sluice_library_object *const *needs);
/* The server's descriptor on a device, which the caller holds then. */
int table_descriptor_object(struct table_descriptor *descriptor, uint32_t device, struct sluice_library_object **object);
/* The same as its own, which no others share from then on: what a call changes. */
int table_descriptor_own(struct table_descriptor *descriptor, uint32_t device, struct sluice_library_object **object);
bool table_descriptor_is_changed(const struct table_descriptor *descriptor);
/* The memory that it holds, of which only a byte each is known, at most HELD_MAX pieces. Returns how many. */
size_t table_descriptor_spans(const struct table_descriptor *descriptor, struct sluice_span *spans);
/* A descriptor of its own on the server, for a call that sets it and does more, which the caller holds then too. */
int table_descriptor_renew(struct table_descriptor *descriptor, uint32_t device, int32_t type, struct sluice_library_object **object);
/* Has it be what an object is, in place of all that was set. */
void table_descriptor_adopt(struct table_descriptor *descriptor, struct sluice_library_object *object, int32_t type);

#endif
