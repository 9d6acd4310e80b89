/* The process's state: initialisation, the session's end, fork, and the translation of the wire's errors to CUDA's. */
#include "driver.h"

#include "../core/remains.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct driver driver;

static pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;

CUresult result_of(struct failure failure) {
    if (failure.native_code > 0) return failure.native_code;
    switch (failure.code) {
    case 0: return CUDA_SUCCESS;
    case SLUICE_ERROR_BAD_ARGUMENT:
    case SLUICE_ERROR_ADDRESS_OUTSIDE_ARENA:
    case SLUICE_ERROR_NOT_ALLOCATED:
    case SLUICE_ERROR_RANGE_IN_USE:
    case SLUICE_ERROR_BAD_LAUNCH:
    case SLUICE_ERROR_BAD_KERNEL_ARGUMENTS: return CUDA_ERROR_INVALID_VALUE;
    case SLUICE_ERROR_UNSUPPORTED: return CUDA_ERROR_NOT_SUPPORTED;
    case SLUICE_ERROR_NO_SUCH_HANDLE:
    case SLUICE_ERROR_HANDLE_IN_USE: return CUDA_ERROR_INVALID_HANDLE;
    case SLUICE_ERROR_OUT_OF_MEMORY:
    case SLUICE_ERROR_TOO_MANY_HANDLES:
    case SLUICE_ERROR_IMAGE_TOO_LARGE: return CUDA_ERROR_OUT_OF_MEMORY;
    case SLUICE_ERROR_NO_SUCH_DEVICE: return CUDA_ERROR_INVALID_DEVICE;
    case SLUICE_ERROR_NO_LEASE: return CUDA_ERROR_NO_DEVICE;
    case SLUICE_ERROR_BAD_IMAGE: return CUDA_ERROR_INVALID_PTX;
    case SLUICE_ERROR_UNSUPPORTED_INSTRUCTION: return CUDA_ERROR_NO_BINARY_FOR_GPU;
    case SLUICE_ERROR_NO_SUCH_KERNEL: return CUDA_ERROR_NOT_FOUND;
    case SLUICE_ERROR_ILLEGAL_ADDRESS: return CUDA_ERROR_ILLEGAL_ADDRESS;
    case SLUICE_ERROR_KERNEL_TIMEOUT: return CUDA_ERROR_LAUNCH_TIMEOUT;
    case SLUICE_ERROR_KERNEL_TRAP: return CUDA_ERROR_LAUNCH_FAILED;
    case SLUICE_ERROR_NOT_READY: return CUDA_ERROR_NOT_READY;
    case SLUICE_ERROR_CLOSED: return CUDA_ERROR_DEINITIALIZED;
    case SLUICE_ERROR_INTERNAL:
    case SLUICE_ERROR_PROTOCOL_ERROR: return CUDA_ERROR_UNKNOWN;
    default: return CUDA_ERROR_DEVICE_UNAVAILABLE; /* The lease, the server or the connection is gone. */
    }
}

static CUresult phase_result(int phase) {
    if (phase == PHASE_READY || phase == PHASE_PROMISED) return CUDA_SUCCESS;
    return phase == PHASE_OVER ? CUDA_ERROR_DEINITIALIZED : CUDA_ERROR_NOT_INITIALIZED;
}

static CUresult open_promised(void);

CUresult driver_check(void) {
    int phase = atomic_load_explicit(&driver.phase, memory_order_acquire);
    if (phase == PHASE_READY) return connection_result();
    return phase == PHASE_PROMISED ? open_promised() : phase_result(phase);
}

/* Waits for the answer; the caller releases it when this is a success. */
static CUresult await_answer(struct answer *answer) {
    struct failure failure = answer_wait(&driver.connection, answer);
    if (failure.code != 0) {
        answer_release(answer);
        return result_of(failure);
    }
    CUresult result = connection_result();
    if (result != CUDA_SUCCESS) answer_release(answer);
    return result;
}

CUresult answer_of_call(struct answer *answer, uint64_t *mark) {
    call_end_expecting(&driver.connection, answer, mark);
    return await_answer(answer);
}

static void copy_text(char *into, size_t capacity, struct sluice_bytes text) {
    size_t length = text.byte_count < capacity - 1 ? text.byte_count : capacity - 1;
    memcpy(into, text.data, length);
    into[length] = '\0';
}

/* Attributes that promise what the remote device has and this library does not carry over. */
static void hide_attributes(int *attributes) {
    static const unsigned char hidden[] = {
        CU_ATTRIBUTE_HOST_NATIVE_ATOMIC, CU_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS,
        CU_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS, CU_ATTRIBUTE_CAN_USE_HOST_POINTER, 92, 93, 94,
        CU_ATTRIBUTE_COOPERATIVE_MULTI_DEVICE, CU_ATTRIBUTE_FLUSH_REMOTE_WRITES, CU_ATTRIBUTE_PAGEABLE_HOST_TABLES,
        CU_ATTRIBUTE_DIRECT_MANAGED_ACCESS, CU_ATTRIBUTE_VIRTUAL_MEMORY, 103, 104, 105, 107, 108, 109, 110, CU_ATTRIBUTE_SPARSE_ARRAYS,
        CU_ATTRIBUTE_READ_ONLY_HOST_REGISTER, CU_ATTRIBUTE_TIMELINE_SEMAPHORES, CU_ATTRIBUTE_GPU_DIRECT_RDMA, 117, 118,
        CU_ATTRIBUTE_POOL_HANDLE_TYPES, CU_ATTRIBUTE_CLUSTER_LAUNCH, CU_ATTRIBUTE_DEFERRED_MAPPING, 122, 123, CU_ATTRIBUTE_DMA_BUF,
        CU_ATTRIBUTE_IPC_EVENT, CU_ATTRIBUTE_TENSOR_MAP, 128, CU_ATTRIBUTE_UNIFIED_FUNCTION_POINTERS, CU_ATTRIBUTE_MULTICAST, 133, 136,
        137, 141, 142, 143, 144, 145, 146,
    };
    for (size_t i = 0; i < sizeof hidden; i++) attributes[hidden[i]] = 0;
    attributes[CU_ATTRIBUTE_UNIFIED_ADDRESSING] = 1;
    attributes[CU_ATTRIBUTE_MEMORY_POOLS] = 1;
    attributes[CU_ATTRIBUTE_HOST_REGISTER_SUPPORTED] = 1;
}

static CUresult read_device(struct device *device, const struct answer *answer) {
    struct sluice_attach_answer attach;
    if (sluice_decode_attach_answer(answer->body, answer->body_bytes, &attach) != 0) return CUDA_ERROR_UNKNOWN;
    if (device->index == 0 && !driver.connection.is_tcp) staging_open(&driver.connection.staging, &attach);
    copy_text(device->kind, sizeof device->kind, attach.kind);
    copy_text(device->name, sizeof device->name, attach.name);
    copy_text(device->id, sizeof device->id, attach.uuid);
    device->driver_version = attach.driver_version;
    struct sluice_device_attribute attribute;
    while (sluice_next_device_attribute(&attach.attributes, &attribute) == 1)
        if (attribute.attribute < CU_ATTRIBUTE_COUNT) device->attributes[attribute.attribute] = attribute.value;
    device->attributes[CU_ATTRIBUTE_CAPABILITY_MAJOR] = (int)attach.capability_major;
    device->attributes[CU_ATTRIBUTE_CAPABILITY_MINOR] = (int)attach.capability_minor;
    hide_attributes(device->attributes);
    /* A slice has no place on a bus here; its index within the lease stands for one, where the remote device names none. A bus 0 has GPUs, too, but not at its place 0. */
    bool has_place = (device->attributes[CU_ATTRIBUTE_PCI_BUS_ID] | device->attributes[CU_ATTRIBUTE_PCI_DEVICE_ID]) != 0;
    if (!has_place) device->attributes[CU_ATTRIBUTE_PCI_BUS_ID] = (int)device->index + 1;
    /* CUDA promises 256 bytes, and what textures want; programs count on it. */
    uint64_t granularity = attach.granularity_bytes < 256 ? 256 : attach.granularity_bytes;
    uint64_t texture_alignment = (uint64_t)(unsigned)device->attributes[CU_ATTRIBUTE_TEXTURE_ALIGNMENT];
    if (texture_alignment == 512 || texture_alignment == 1024) granularity = granularity < texture_alignment ? texture_alignment : granularity;
    if (!arena_open(&device->arena, attach.arena_base, attach.arena_bytes, granularity)) return CUDA_ERROR_OUT_OF_MEMORY;
    device->attributes[CU_ATTRIBUTE_MANAGED_MEMORY] = device->attributes[CU_ATTRIBUTE_CAN_MAP_HOST_MEMORY] = device->arena.is_reserved;
    return CUDA_SUCCESS;
}

static CUresult ask_for_device(uint32_t index, struct answer *answer) {
    struct sluice_attach_call call = {.device = index};
    uint8_t *at = call_begin(&driver.connection, SLUICE_OP_ATTACH, sluice_size_attach_call(&call));
    if (at == NULL) return connection_result();
    sluice_encode_attach_call(at, &call);
    return answer_of_call(answer, NULL);
}

static CUresult attach_device(uint32_t index) {
    struct device *device = calloc(1, sizeof *device);
    if (device == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
    device->index = index;
    pthread_mutex_init(&device->quarantine_lock, NULL);
    struct answer other = ANSWER_INITIAL;
    /* The first one was asked for when the session was opened. */
    struct answer *answer = index == 0 ? &driver.connection.attached : &other;
    CUresult result = index == 0 ? await_answer(answer) : ask_for_device(index, answer);
    if (result != CUDA_SUCCESS) return result;
    result = read_device(device, answer);
    answer_release(answer);
    atomic_store(&device->primary.object.kind, OBJECT_CONTEXT);
    device->primary.device = device;
    device->primary.is_primary = true;
    device->graphs.device = device->graphs_live.device = device;
    atomic_store(&device->stream.object.kind, OBJECT_STREAM);
    device->stream.device = device;
    device->stream.context = &device->primary;
    atomic_store(&device->pool.object.kind, OBJECT_POOL);
    device->pool.device = device;
    device->pool.reuse[0] = device->pool.reuse[1] = device->pool.reuse[2] = 1;
    device->current_pool = &device->pool;
    driver.devices[index] = device;
    return result;
}

/* What a process leaves to its descendants about its devices; those of another version of this library do not read it. */
struct description {
    char version[32];
    uint32_t device_count;
    struct {
        char name[256], id[64];
        uint32_t driver_version;
        uint64_t byte_count;
        int attributes[CU_ATTRIBUTE_COUNT];
    } devices[SLUICE_SLICES_PER_LEASE_MAX];
};

/* The devices as an ancestor has described them; guarded by `opening` until their number is there, and never changed behind that. */
static struct device *described[SLUICE_SLICES_PER_LEASE_MAX];
static atomic_uint described_count;

static void describe_devices(void) {
    struct description *description = calloc(1, sizeof *description);
    if (description == NULL) return;
    snprintf(description->version, sizeof description->version, "%s", SLUICE_VERSION);
    description->device_count = driver.device_count;
    for (uint32_t i = 0; i < driver.device_count; i++) {
        const struct device *device = driver.devices[i];
        memcpy(description->devices[i].name, device->name, sizeof device->name);
        memcpy(description->devices[i].id, device->id, sizeof device->id);
        memcpy(description->devices[i].attributes, device->attributes, sizeof device->attributes);
        description->devices[i].driver_version = device->driver_version;
        description->devices[i].byte_count = device->arena.byte_count;
    }
    remains_describe(&driver.connection, description, sizeof *description);
    free(description);
}

static CUresult open_session(void) {
    struct endpoint endpoint;
    uint32_t devices = 0;
    uint32_t error = endpoint_of_environment(&endpoint);
    if (error == 0) error = connection_open(&driver.connection, &endpoint, &devices);
    driver.lease_count = error == 0 ? endpoint.lease_count : 0;
    free(endpoint.leases);
    if (error != 0) return result_of((struct failure){error, 0});
    if (devices == 0 || devices > SLUICE_SLICES_PER_LEASE_MAX) return CUDA_ERROR_NO_DEVICE;
    CUresult result = CUDA_SUCCESS;
    for (uint32_t index = 0; index < devices && result == CUDA_SUCCESS; index++) result = attach_device(index);
    if (result != CUDA_SUCCESS) {
        connection_close(&driver.connection);
        return result;
    }
    driver.device_count = devices;
    describe_devices();
    connection_watch(&driver.connection);
    return result;
}

static CUresult open_promised(void) {
    pthread_mutex_lock(&opening);
    CUresult result = phase_result(atomic_load(&driver.phase));
    if (atomic_load(&driver.phase) == PHASE_PROMISED) {
        result = open_session();
        if (result == CUDA_SUCCESS) atomic_store(&driver.phase, PHASE_READY);
    }
    pthread_mutex_unlock(&opening);
    return result;
}

/* Finds how an ancestor has described its devices; false when none has. */
static bool read_description(void) {
    struct endpoint endpoint;
    struct description *description = calloc(1, sizeof *description);
    bool is_found = false;
    if (description != NULL && endpoint_of_environment(&endpoint) == 0) {
        for (uint32_t i = 0; i < endpoint.lease_count && !is_found; i++) {
            is_found = remains_described(&endpoint.leases[i], description, sizeof *description) && strcmp(description->version, SLUICE_VERSION) == 0;
            is_found = is_found && description->device_count == driver.promised_count;
        }
        free(endpoint.leases);
    }
    for (uint32_t i = 0; is_found && i < driver.promised_count; i++) {
        struct device *device = described[i] = calloc(1, sizeof *device);
        if (device == NULL) is_found = false;
        else {
            device->index = i;
            memcpy(device->name, description->devices[i].name, sizeof device->name - 1);
            memcpy(device->id, description->devices[i].id, sizeof device->id - 1);
            memcpy(device->attributes, description->devices[i].attributes, sizeof device->attributes);
            device->driver_version = description->devices[i].driver_version;
            device->arena.byte_count = description->devices[i].byte_count;
        }
    }
    free(description);
    return is_found;
}

CUresult driver_know(void) {
    if (promised_devices() == 0) return driver_check();
    if (atomic_load(&described_count) > 0) return CUDA_SUCCESS;
    pthread_mutex_lock(&opening);
    if (atomic_load(&described_count) == 0 && read_description()) atomic_store(&described_count, driver.promised_count);
    pthread_mutex_unlock(&opening);
    return atomic_load(&described_count) > 0 ? CUDA_SUCCESS : driver_check();
}

CUresult known_device(CUdevice ordinal, struct device **device) {
    if (promised_devices() == 0 || ordinal < 0 || (uint32_t)ordinal >= atomic_load(&described_count)) return device_of(ordinal, device);
    *device = described[ordinal];
    return CUDA_SUCCESS;
}

/* SLUICE_DEVICES: how many devices each lease has. */
static uint32_t read_promise(void) {
    const char *text = getenv("SLUICE_DEVICES");
    int count = text == NULL || getenv("SLUICE_LEASE") == NULL ? 0 : atoi(text);
    return count < 0 || count > SLUICE_SLICES_PER_LEASE_MAX ? 0 : (uint32_t)count;
}

/* The child shares the parent's socket, which it must not use; CUDA does not work in it either. */
static void forked(void) {
    int ready = PHASE_READY;
    if (atomic_compare_exchange_strong(&driver.phase, &ready, PHASE_FORKED)) connection_abandon(&driver.connection);
    pthread_mutex_init(&opening, NULL);
}

/* Runs after the destructors of all that depends on this library. Whatever still calls in gets CUDA_ERROR_DEINITIALIZED. */
__attribute__((destructor)) static void close_session(void) {
    int ready = PHASE_READY, promised = PHASE_PROMISED;
    atomic_compare_exchange_strong(&driver.phase, &promised, PHASE_OVER);
    if (atomic_compare_exchange_strong(&driver.phase, &ready, PHASE_OVER)) connection_close(&driver.connection);
}

API_ALWAYS(cuInit, (unsigned int flags), (flags)) {
    static bool watches_fork = false;
    if (flags != 0) return CUDA_ERROR_INVALID_VALUE;
    if (atomic_load(&driver.phase) != PHASE_FRESH) return phase_result(atomic_load(&driver.phase));
    pthread_mutex_lock(&opening);
    CUresult result = phase_result(atomic_load(&driver.phase));
    if (atomic_load(&driver.phase) == PHASE_FRESH) {
        report_about_address = host_memory_about;
        driver.promised_count = read_promise();
        result = driver.promised_count > 0 ? CUDA_SUCCESS : open_session();
        if (!watches_fork) pthread_atfork(NULL, NULL, forked);
        watches_fork = true;
        if (result == CUDA_SUCCESS) atomic_store(&driver.phase, driver.promised_count > 0 ? PHASE_PROMISED : PHASE_READY);
    }
    pthread_mutex_unlock(&opening);
    return result;
}

API_ALWAYS(cuDriverGetVersion, (int *version), (version)) {
    if (version == NULL) return CUDA_ERROR_INVALID_VALUE;
    struct device *first;
    /* Without a session there is nobody to ask; this is what the library itself speaks. */
    *version = driver_know() == CUDA_SUCCESS && known_device(0, &first) == CUDA_SUCCESS ? (int)first->driver_version : 13000;
    return CUDA_SUCCESS;
}

