/*
 * Descriptors of the functions of the table. What a program sets is kept here; the server gets a descriptor when one is used first, and all that are set alike
 * share it. So programs that make, set and destroy the same ones for each call, as they mostly do, send nothing but the call, and what a graph has
 * recorded stays as it was.
 */
#include <stdlib.h>
#include <string.h>

#include "call.h"
#include "memo.h"

#define DESCRIPTOR_MAGIC 0x51c0de5du

/* The call that made it, where that says more than this, and the last call of each other function that set it: its arguments as they travel, but for the descriptor itself, which is the first, 0. */
struct setting {
    uint32_t function;
    int32_t which;
    bool is_making;
    struct sluice_bytes arguments;
    struct sluice_library_object *needs[DESCRIPTORS_MAX];
    size_t need_count;
    struct sluice_span spans[SLOTS_MAX];
    size_t span_count;
    /* What the descriptor holds of it, unless it was given other memory since. */
    struct sluice_span held[HELD_MAX];
    size_t held_count;
    struct setting *next;
};

struct table_descriptor {
    uint32_t magic;
    uint32_t kind;
    int32_t type;
    /* In the order of their calls. */
    struct setting *settings;
    /* The server's, held, or NULL while it is not known. What made it is not among the settings where `is_own`. */
    struct sluice_library_object *object;
    bool is_own;
    /* Whether calls that use the object have changed it, which nobody shares then, and which hears at once of what is set. */
    bool is_changed;
};

static void drop_object(void *object) {
    sluiceLibraryDrop(object);
}

/* Objects by the settings that made them. */
static struct memo objects = {.lock = PTHREAD_MUTEX_INITIALIZER, .drop = drop_object};

int table_descriptor_make(void **made, uint32_t kind) {
    if (made == NULL) return library.null_pointer;
    struct table_descriptor *descriptor = calloc(1, sizeof *descriptor);
    *made = descriptor;
    if (descriptor == NULL) return library.no_memory;
    descriptor->magic = DESCRIPTOR_MAGIC;
    descriptor->kind = kind;
    descriptor->type = -1;
    return 0;
}

struct table_descriptor *table_descriptor_of(void *given, uint32_t kind) {
    struct table_descriptor *descriptor = given;
    return descriptor != NULL && descriptor->magic == DESCRIPTOR_MAGIC && descriptor->kind == kind ? descriptor : NULL;
}

int32_t table_descriptor_type(const struct table_descriptor *descriptor) {
    return descriptor->type;
}

static void drop_setting(struct setting *setting) {
    for (size_t i = 0; i < setting->need_count; i++) sluiceLibraryDrop(setting->needs[i]);
    free((void *)(uintptr_t)setting->arguments.data);
    free(setting);
}

static void drop_settings(struct table_descriptor *descriptor) {
    while (descriptor->settings != NULL) {
        struct setting *first = descriptor->settings;
        descriptor->settings = first->next;
        drop_setting(first);
    }
}

static void let_go(struct table_descriptor *descriptor) {
    sluiceLibraryDrop(descriptor->object);
    descriptor->object = NULL;
}

void table_descriptor_destroy(struct table_descriptor *descriptor) {
    drop_settings(descriptor);
    let_go(descriptor);
    descriptor->magic = 0;
    free(descriptor);
}

static struct setting *setting_of(const struct sluice_call *call, struct sluice_library_object *const *needs) {
    struct setting *setting = calloc(1, sizeof *setting);
    uint8_t *arguments = malloc(call->byte_count);
    if (setting == NULL || arguments == NULL) {
        free(setting);
        free(arguments);
        return NULL;
    }
    memcpy(arguments, call->bytes, call->byte_count);
    setting->function = call->function;
    setting->which = call->which;
    setting->is_making = call->made != NULL;
    setting->arguments = (struct sluice_bytes){arguments, call->byte_count};
    for (size_t i = 0; i < call->used_count; i++) setting->needs[setting->need_count++] = sluiceLibraryHold(needs[i]);
    setting->span_count = call_spans(call, setting->spans);
    for (size_t i = 0; i < call->slot_count; i++) {
        struct sluice_span *held = &setting->held[setting->held_count];
        if (call->slots[i].kind != SLOT_HELD) continue;
        if (setting->held_count++ == HELD_MAX) abort(); /* The table has no such function. */
        held->byte_count = 1;
        memcpy(&held->address, call->bytes + call->slots[i].at, sizeof held->address);
    }
    return setting;
}

static int tell_setting(const struct sluice_library_object *object, const struct setting *setting) {
    uint8_t *arguments = malloc(setting->arguments.byte_count);
    uint64_t handle = object->handle;
    if (arguments == NULL) return library.no_memory;
    memcpy(arguments, setting->arguments.data, setting->arguments.byte_count);
    memcpy(arguments, &handle, sizeof handle);
    struct sluice_library_work work = {
        .name = library.name,
        .call = {.library = library.number, .function = setting->function, .device = object->device, .arguments = {arguments, setting->arguments.byte_count}},
        .objects = setting->needs, .object_count = setting->need_count, .spans = setting->spans, .span_count = setting->span_count,
    };
    CUresult result = sluiceLibraryTell(&work);
    free(arguments);
    return status_of(result);
}

int table_descriptor_set(struct table_descriptor *descriptor, const struct sluice_call *call, struct sluice_library_object *const *needs) {
    struct setting *setting = setting_of(call, needs), **at = &descriptor->settings;
    if (setting == NULL) return library.no_memory;
    while (*at != NULL) {
        struct setting *before = *at;
        if (setting->held_count > 0) before->held_count = 0;
        if (before->function != setting->function || before->which != setting->which) {
            at = &before->next;
            continue;
        }
        *at = before->next;
        drop_setting(before);
    }
    *at = setting;
    if (descriptor->is_changed) return tell_setting(descriptor->object, setting);
    let_go(descriptor);
    descriptor->is_own = false;
    if (call->type >= 0) descriptor->type = call->type;
    return 0;
}

/* Device, kind and settings, one behind the other, in memory of malloc. */
static struct sluice_bytes key_of(const struct table_descriptor *descriptor, uint32_t device) {
    size_t bytes = 2 * sizeof(uint32_t);
    for (const struct setting *each = descriptor->settings; each != NULL; each = each->next) bytes += 2 * sizeof(uint32_t) + each->arguments.byte_count;
    uint8_t *key = malloc(bytes), *at = key;
    if (key == NULL) return (struct sluice_bytes){0};
    sluice_put_u32(at, device);
    sluice_put_u32(at + 4, descriptor->kind);
    at += 8;
    for (const struct setting *each = descriptor->settings; each != NULL; each = each->next) {
        sluice_put_u32(at, each->function);
        sluice_put_u32(at + 4, (uint32_t)each->arguments.byte_count);
        memcpy(at + 8, each->arguments.data, each->arguments.byte_count);
        at += 8 + each->arguments.byte_count;
    }
    return (struct sluice_bytes){key, bytes};
}

/* The call that made it, where that says more than this. */
static const struct setting *making_of(const struct table_descriptor *descriptor) {
    return descriptor->settings != NULL && descriptor->settings->is_making ? descriptor->settings : NULL;
}

/* The first one of each kind on a device is answered: the server's library may be older than the kind. */
static int make(struct sluice_library_object *object, uint32_t kind, const struct setting *making) {
    uint64_t nothing = 0;
    struct sluice_bytes given = making == NULL ? (struct sluice_bytes){&nothing, sizeof nothing} : making->arguments;
    static atomic_uint made[SLUICE_SLICES_PER_LEASE_MAX];
    atomic_uint *here = &made[object->device % SLUICE_SLICES_PER_LEASE_MAX];
    uint32_t function = making == NULL ? library.makers[kind] : making->function;
    struct sluice_library_reply reply = {0};
    if (!library.is_stateful && (atomic_load(here) >> kind & 1) != 0)
        return status_of(sluiceLibraryMake(library.number, function, object, given, NULL));
    int status = status_of_reply(sluiceLibraryMake(library.number, function, object, given, &reply), &reply);
    if (status == 0) atomic_fetch_or(here, 1u << kind);
    return status;
}

/* A new one on the server, set in the same way. */
static int realize(const struct table_descriptor *descriptor, uint32_t device, struct sluice_library_object **object) {
    struct sluice_library_object *needs[SLOTS_MAX];
    size_t need_count = 0;
    for (const struct setting *each = descriptor->settings; each != NULL; each = each->next)
        for (size_t i = 0; i < each->need_count && need_count < SLOTS_MAX; i++) needs[need_count++] = each->needs[i];
    *object = sluiceLibraryObject(device, needs, need_count);
    if (*object == NULL) return library.no_memory;
    const struct setting *first = descriptor->settings, *making = making_of(descriptor);
    int status = make(*object, descriptor->kind, making);
    for (const struct setting *each = making == NULL ? first : making->next; each != NULL && status == 0; each = each->next)
        status = tell_setting(*object, each);
    if (status == 0) return status;
    sluiceLibraryDrop(*object);
    return status;
}

static void hold_into(const void *value, void *into) {
    *(struct sluice_library_object **)into = sluiceLibraryHold((struct sluice_library_object *)(uintptr_t)value);
}

int table_descriptor_object(struct table_descriptor *descriptor, uint32_t device, struct sluice_library_object **object) {
    if (descriptor->object != NULL && (descriptor->object->device == device || descriptor->is_own || descriptor->is_changed)) {
        *object = sluiceLibraryHold(descriptor->object);
        return 0;
    }
    if (library.is_stateful) return table_descriptor_renew(descriptor, device, descriptor->type, object);
    struct sluice_bytes key = key_of(descriptor, device);
    if (key.data == NULL) return library.no_memory;
    int status = 0;
    if (!memo_find(&objects, key.data, key.byte_count, hold_into, object)) {
        status = realize(descriptor, device, object);
        if (status == 0) memo_keep(&objects, key.data, key.byte_count, sluiceLibraryHold(*object));
    }
    free((void *)(uintptr_t)key.data);
    if (status != 0) return status;
    let_go(descriptor);
    descriptor->object = sluiceLibraryHold(*object);
    return 0;
}

bool table_descriptor_is_changed(const struct table_descriptor *descriptor) {
    return descriptor->is_changed;
}

int table_descriptor_own(struct table_descriptor *descriptor, uint32_t device, struct sluice_library_object **object) {
    if (!descriptor->is_changed) {
        struct sluice_library_object *own;
        int status = realize(descriptor, device, &own);
        if (status != 0) return status;
        let_go(descriptor);
        descriptor->object = own;
        descriptor->is_changed = true;
    }
    *object = sluiceLibraryHold(descriptor->object);
    return 0;
}

size_t table_descriptor_spans(const struct table_descriptor *descriptor, struct sluice_span *spans) {
    size_t count = 0;
    for (const struct setting *each = descriptor->settings; each != NULL; each = each->next)
        for (size_t i = 0; i < each->held_count && count < HELD_MAX; i++) spans[count++] = each->held[i];
    return count;
}

void table_descriptor_adopt(struct table_descriptor *descriptor, struct sluice_library_object *object, int32_t type) {
    sluiceLibraryHold(object);
    drop_settings(descriptor);
    let_go(descriptor);
    descriptor->object = object;
    descriptor->is_own = true;
    descriptor->type = type;
}

int table_descriptor_renew(struct table_descriptor *descriptor, uint32_t device, int32_t type, struct sluice_library_object **object) {
    *object = sluiceLibraryObject(device, NULL, 0);
    if (*object == NULL) return library.no_memory;
    int status = make(*object, descriptor->kind, making_of(descriptor));
    if (status == 0) table_descriptor_adopt(descriptor, *object, type);
    else sluiceLibraryDrop(*object);
    return status;
}
