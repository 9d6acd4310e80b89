/*
 * Answers to questions, remembered by what was asked: function, device and arguments. Those name descriptors, whose numbers say all that is set of them, so one that
 * is set anew is asked about anew. An address that is asked about makes no difference but to the addresses that are answered, which are kept as distances from it.
 * Descriptors that an answer sets are kept, too: nothing on the server ever changes one that was answered with.
 */
#include <stdlib.h>
#include <string.h>

#include "call.h"
#include "memo.h"

struct known_answer {
    struct sluice_library_object *objects[DESCRIPTORS_MAX];
    int32_t types[DESCRIPTORS_MAX];
    size_t object_count, byte_count;
    uint8_t bytes[];
};

static void drop_answer(void *value) {
    struct known_answer *known = value;
    for (size_t i = 0; i < known->object_count; i++) sluiceLibraryDrop(known->objects[i]);
    free(known);
}
static struct memo answers = {.lock = PTHREAD_MUTEX_INITIALIZER, .drop = drop_answer};

/* Where the answered addresses count from: the address that is asked about, if there is one. */
static uint64_t base_of(const struct sluice_call *call) {
    struct sluice_span spans[SLOTS_MAX];
    return call_spans(call, spans) == 0 ? 0 : spans[0].address;
}

static size_t result_bytes(const struct result *result) {
    return result->is_array ? sluice_pad8(result->bytes) : sizeof(uint64_t);
}

bool answer_unpack(const struct sluice_call *call, struct sluice_bytes packed) {
    size_t at = 0;
    for (size_t i = 0; i < call->result_count; i++) {
        const struct result *result = &call->results[i];
        if (result_bytes(result) > packed.byte_count - at) return false;
        if (result->into != NULL) memcpy(result->into, (const uint8_t *)packed.data + at, result->bytes);
        at += result_bytes(result);
    }
    return at == packed.byte_count;
}

struct sluice_bytes answer_key(const struct sluice_call *call, uint32_t device) {
    size_t bytes = 2 * sizeof(uint32_t) + call->byte_count;
    uint8_t *key = malloc(bytes);
    if (key == NULL) return (struct sluice_bytes){0};
    sluice_put_u32(key, call->function);
    sluice_put_u32(key + 4, device);
    memcpy(key + 8, call->bytes, call->byte_count);
    for (size_t i = 0; i < call->slot_count; i++) {
        uint8_t *at = key + 8 + call->slots[i].at;
        uint64_t address, is_there;
        if (call->slots[i].kind != SLOT_ADDRESS) continue;
        memcpy(&address, at, sizeof address);
        is_there = address != 0;
        memcpy(at, &is_there, sizeof is_there);
    }
    return (struct sluice_bytes){key, bytes};
}

/* What is there of an address is one more than its distance; 0 stays 0, which is no address. */
static void shift_addresses(const struct sluice_call *call, uint8_t *packed, uint64_t by) {
    for (size_t i = 0; i < call->result_count; i++) {
        const struct result *result = &call->results[i];
        uint64_t value;
        memcpy(&value, packed, sizeof value);
        if (result->is_address && value != 0) value += by;
        if (result->is_address) memcpy(packed, &value, sizeof value);
        packed += result_bytes(result);
    }
}

void answer_keep(const struct sluice_call *call, struct sluice_bytes key, struct sluice_bytes packed, struct sluice_library_object *const *set) {
    struct known_answer *known = key.data == NULL ? NULL : malloc(sizeof *known + packed.byte_count);
    if (known == NULL) return;
    known->byte_count = packed.byte_count;
    known->object_count = call->set_count;
    memcpy(known->bytes, packed.data, packed.byte_count);
    shift_addresses(call, known->bytes, 1 - base_of(call));
    for (size_t i = 0; i < call->set_count; i++) {
        known->objects[i] = sluiceLibraryHold(set[i]);
        known->types[i] = table_descriptor_type(call->set[i].descriptor);
    }
    memo_keep(&answers, key.data, key.byte_count, known);
}

/* A copy of what is remembered, whose objects are held. */
static void read_known(const void *value, void *into) {
    const struct known_answer *known = value;
    size_t bytes = sizeof *known + known->byte_count;
    struct known_answer *copy = malloc(bytes);
    if (copy != NULL) memcpy(copy, known, bytes);
    for (size_t i = 0; copy != NULL && i < copy->object_count; i++) sluiceLibraryHold(copy->objects[i]);
    *(struct known_answer **)into = copy;
}

bool answer_recall(const struct sluice_call *call, struct sluice_bytes key) {
    struct known_answer *known = NULL;
    if (key.data == NULL || !memo_find(&answers, key.data, key.byte_count, read_known, &known) || known == NULL) return false;
    shift_addresses(call, known->bytes, base_of(call) - 1);
    bool is_good = answer_unpack(call, (struct sluice_bytes){known->bytes, known->byte_count});
    for (size_t i = 0; is_good && i < known->object_count; i++) table_descriptor_adopt(call->set[i].descriptor, known->objects[i], known->types[i]);
    drop_answer(known);
    return is_good;
}
