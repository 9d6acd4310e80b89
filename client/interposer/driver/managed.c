/*
 * The pages of managed memory; managed.h says how they work. Each device has one file of memory, mapped twice: where the program sees it, with
 * the protection of the moment, and where only this library does, so that it fills pages that nobody else can read yet.
 */
#include "managed.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define PAGE_BYTES 4096u
/* What one fault fetches at least, and at most when faults follow each other upwards. */
#define CHUNK_BYTES 65536u
#define CHUNKS_AHEAD_MAX 64u

/*
 * A chunk belongs to the device until the host touches it. FRESH: nobody but the host can have written since the allocation, and the device
 * has zeros. CLEAN: both are the same. DIRTY: the host's copy is newer.
 */
enum { CHUNK_DEVICE = 0, CHUNK_CLEAN, CHUNK_DIRTY, CHUNK_FRESH };

struct block {
    uint64_t address;
    uint64_t byte_count, padded_bytes;
    struct device *device;
    uint8_t *chunks;
    size_t chunk_count;
    /* The chunk after the last fetched one, and how many were fetched then. */
    size_t next_chunk, ahead;
    /* The host's copy, in which file and where. */
    uint8_t *copy;
    int file;
    off_t offset;
    /* What of the pages is managed; NULL: all. */
    struct part *parts;
    size_t part_count;
    bool is_active;
    struct block *next_active;
};

/* The host's copy of one device's arena. */
struct mirror {
    int file;
    uint8_t *bytes;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct mirror mirrors[SLUICE_SLICES_PER_LEASE_MAX];
/* In order of address, under the lock. */
static struct block **blocks;
static size_t block_count, block_capacity;
/* Blocks of which the host has any chunk. */
static struct block *active;
atomic_bool managed_in_use;
/* Whether SLUICE_MANAGED asks for all of it at every wait. */
static bool is_whole;
static struct sigaction handler_before;

static size_t index_above(uint64_t address) {
    size_t low = 0, high = block_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (blocks[middle]->address <= address) low = middle + 1;
        else high = middle;
    }
    return low;
}

static struct block *block_at(uint64_t address) {
    size_t at = index_above(address);
    return at > 0 && address - blocks[at - 1]->address < blocks[at - 1]->padded_bytes ? blocks[at - 1] : NULL;
}

static uint64_t chunk_start(size_t chunk) {
    return (uint64_t)chunk * CHUNK_BYTES;
}

static size_t bytes_of(const struct block *block, size_t first, size_t count) {
    uint64_t end = chunk_start(first + count);
    return (end < block->padded_bytes ? end : block->padded_bytes) - chunk_start(first);
}

/* Fails where the process has as many mappings as the system allows. */
static CUresult protect(const struct block *block, size_t first, size_t count, int rights) {
    void *start = (void *)(uintptr_t)(block->address + chunk_start(first));
    return mprotect(start, bytes_of(block, first, count), rights) == 0 ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

static void activate(struct block *block) {
    if (block->is_active) return;
    block->is_active = true;
    block->next_active = active;
    active = block;
}

static CUresult transfer(const struct block *block, struct part range, bool to_device) {
    uint8_t *host = block->copy + (range.address - block->address);
    struct stream *stream = &block->device->stream;
    return to_device ? device_write(range.address, host, range.byte_count, stream) : device_read(host, range.address, range.byte_count, stream);
}

/* Sends or gets bytes of a block from an offset on: of its parts, where it has such. */
static CUresult move(const struct block *block, uint64_t offset, uint64_t byte_count, bool to_device) {
    uint64_t start = block->address + offset, end = start + byte_count;
    if (block->parts == NULL) return transfer(block, (struct part){start, byte_count}, to_device);
    CUresult result = CUDA_SUCCESS;
    for (size_t i = 0; i < block->part_count && result == CUDA_SUCCESS; i++) {
        const struct part *part = &block->parts[i];
        uint64_t from = part->address > start ? part->address : start;
        uint64_t to = part->address + part->byte_count < end ? part->address + part->byte_count : end;
        if (from < to) result = transfer(block, (struct part){from, to - from}, to_device);
    }
    return result;
}

/* Waits for the device and fills chunks that are its own. */
static CUresult fetch(struct block *block, size_t first, size_t count) {
    CUresult result = device_wait(block->device);
    if (result == CUDA_SUCCESS) result = move(block, chunk_start(first), bytes_of(block, first, count), false);
    if (result != CUDA_SUCCESS) return result;
    memset(block->chunks + first, CHUNK_CLEAN, count);
    activate(block);
    return protect(block, first, count, PROT_READ);
}

/* How many chunks from `first` on are the device's, at most `most`. */
static size_t run_of(const struct block *block, size_t first, size_t most) {
    size_t count = 0;
    while (count < most && first + count < block->chunk_count && block->chunks[first + count] == CHUNK_DEVICE) count++;
    return count;
}

static CUresult resolve(struct block *block, uint64_t address, bool is_write) {
    size_t chunk = (address - block->address) / CHUNK_BYTES;
    if (block->chunks[chunk] == CHUNK_DEVICE) {
        block->ahead = chunk == block->next_chunk ? block->ahead * 2 : 1;
        if (block->ahead == 0) block->ahead = 1;
        if (block->ahead > CHUNKS_AHEAD_MAX) block->ahead = CHUNKS_AHEAD_MAX;
        size_t count = run_of(block, chunk, block->ahead);
        CUresult result = fetch(block, chunk, count);
        if (result != CUDA_SUCCESS) return result;
        block->next_chunk = chunk + count;
    }
    if (is_write && block->chunks[chunk] == CHUNK_CLEAN) {
        block->chunks[chunk] = CHUNK_DIRTY;
        return protect(block, chunk, 1, PROT_READ | PROT_WRITE);
    }
    return CUDA_SUCCESS;
}

static bool is_write_fault(const void *machine) {
#if defined(__x86_64__)
    return (((const ucontext_t *)machine)->uc_mcontext.gregs[REG_ERR] & 2) != 0;
#else
    (void)machine;
    return true; /* Not told: the chunk is sent back although it may only have been read. */
#endif
}

/*
 * The fault that was passed on last, and from which frame: another handler may itself pass on to this one, which it found here before it. A
 * later fault may have the same place on the stack, since handlers may jump out, but it never comes from a frame below.
 */
static __thread const void *passed_machine;
static __thread uintptr_t passed_frame;

static void pass_on(int signal_number, siginfo_t *info, void *machine) {
    uintptr_t frame = (uintptr_t)__builtin_frame_address(0);
    if (passed_machine == machine && frame < passed_frame) {
        signal(signal_number, SIG_DFL);
        return;
    }
    passed_machine = machine;
    passed_frame = frame;
    if ((handler_before.sa_flags & SA_SIGINFO) != 0) {
        handler_before.sa_sigaction(signal_number, info, machine);
    } else if (handler_before.sa_handler != SIG_DFL && handler_before.sa_handler != SIG_IGN) {
        handler_before.sa_handler(signal_number);
    } else {
        signal(signal_number, SIG_DFL); /* The access is repeated and ends the program as it would have. */
    }
}

/*
 * Runs in the thread that touched a page, at that place of the program: never inside this library, which uses its own mapping. So it may take
 * locks and wait.
 */
static void on_fault(int signal_number, siginfo_t *info, void *machine) {
    int error = errno;
    pthread_mutex_lock(&lock);
    struct block *block = info->si_code > 0 ? block_at((uintptr_t)info->si_addr) : NULL;
    CUresult result = block == NULL ? CUDA_SUCCESS : resolve(block, (uintptr_t)info->si_addr, is_write_fault(machine));
    pthread_mutex_unlock(&lock);
    if (block == NULL) pass_on(signal_number, info, machine);
    if (result != CUDA_SUCCESS) {
        const char *name = NULL;
        cuGetErrorName(result, &name);
        report("managed memory at [%p] cannot be fetched from the device: %s.", info->si_addr, name == NULL ? "unknown error" : name);
        signal(signal_number, SIG_DFL);
    }
    errno = error;
}

/* Under the lock: takes the signal, again if the program has given it to another handler, which then gets what is not managed memory. */
static void keep_handler(void) {
    struct sigaction now, own = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    if (sigaction(SIGSEGV, NULL, &now) != 0 || ((now.sa_flags & SA_SIGINFO) != 0 && now.sa_sigaction == on_fault)) return;
    handler_before = now;
    sigaction(SIGSEGV, &own, NULL);
}

/* The system's own call: the C library's function is younger than those that this is to run with. */
static int memory_file(void) {
    return (int)syscall(SYS_memfd_create, "sluice-managed", MFD_CLOEXEC);
}

/* Under the lock. */
static CUresult open_mirror(struct device *device) {
    struct mirror *mirror = &mirrors[device->index];
    if (mirror->bytes != NULL) return CUDA_SUCCESS;
    if (!device->arena.is_reserved) {
        trace("managed memory is not supported in a process that uses the device's addresses itself");
        return CUDA_ERROR_NOT_SUPPORTED;
    }
    int file = memory_file();
    void *bytes = MAP_FAILED;
    if (file >= 0 && ftruncate(file, (off_t)device->arena.byte_count) == 0)
        bytes = mmap(NULL, device->arena.byte_count, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file, 0);
    if (bytes == MAP_FAILED) {
        if (file >= 0) close(file);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    *mirror = (struct mirror){file, bytes};
    if (!atomic_exchange(&managed_in_use, true)) {
        const char *wish = getenv("SLUICE_MANAGED");
        is_whole = wish != NULL && strcmp(wish, "whole") == 0;
    }
    return CUDA_SUCCESS;
}

/* Under the lock: maps the block, with every chunk in this state. */
static CUresult enter(struct block *block, int state) {
    if (block_count == block_capacity) {
        size_t capacity = block_capacity == 0 ? 64 : block_capacity * 2;
        struct block **larger = realloc(blocks, capacity * sizeof *larger);
        if (larger == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
        blocks = larger;
        block_capacity = capacity;
    }
    void *at = (void *)(uintptr_t)block->address;
    int rights = state == CHUNK_FRESH ? PROT_READ | PROT_WRITE : PROT_NONE;
    /* Only the arena's addresses are known to be this library's. */
    int flags = MAP_SHARED | MAP_NORESERVE | (block->parts == NULL ? MAP_FIXED : MAP_FIXED_NOREPLACE);
    void *got = mmap(at, block->padded_bytes, rights, flags, block->file, block->offset);
    if (got != at) {
        if (got != MAP_FAILED) munmap(got, block->padded_bytes);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    memset(block->chunks, state, block->chunk_count);
    size_t index = index_above(block->address);
    memmove(blocks + index + 1, blocks + index, (block_count - index) * sizeof *blocks);
    blocks[index] = block;
    block_count++;
    if (state == CHUNK_FRESH) activate(block);
    return CUDA_SUCCESS;
}

static struct block *block_new(struct device *device, uint64_t byte_count, size_t part_count) {
    uint64_t padded = (byte_count + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
    size_t chunk_count = (padded + CHUNK_BYTES - 1) / CHUNK_BYTES;
    struct block *block = calloc(1, sizeof *block + part_count * sizeof *block->parts + chunk_count);
    if (block == NULL) return NULL;
    struct part *parts = (struct part *)(block + 1);
    *block = (struct block){.byte_count = byte_count, .padded_bytes = padded, .device = device, .chunks = (uint8_t *)(parts + part_count),
                            .chunk_count = chunk_count, .parts = part_count > 0 ? parts : NULL, .part_count = part_count};
    return block;
}

CUresult managed_allocate(struct context *context, uint64_t byte_count, CUdeviceptr *address) {
    if (byte_count > SIZE_MAX - PAGE_BYTES) return CUDA_ERROR_OUT_OF_MEMORY;
    if (byte_count > context->device->arena.byte_count) return CUDA_ERROR_OUT_OF_MEMORY;
    struct block *block = block_new(context->device, byte_count, 0);
    if (block == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
    CUdeviceptr found = 0;
    pthread_mutex_lock(&lock);
    CUresult result = open_mirror(context->device);
    if (result == CUDA_SUCCESS) result = memory_allocate(context, block->padded_bytes, PAGE_BYTES, &found);
    if (result == CUDA_SUCCESS) {
        const struct mirror *mirror = &mirrors[context->device->index];
        block->address = found;
        block->file = mirror->file;
        block->offset = (off_t)(found - context->device->arena.base);
        block->copy = mirror->bytes + block->offset;
        result = device_zero(found, block->padded_bytes, context->device);
        if (result == CUDA_SUCCESS) result = enter(block, CHUNK_FRESH);
        if (result != CUDA_SUCCESS) memory_free(context->device, found);
    }
    pthread_mutex_unlock(&lock);
    if (result == CUDA_SUCCESS) *address = found;
    else free(block);
    return result;
}

static CUresult map_parts(struct block *block) {
    keep_handler();
    block->file = memory_file();
    void *copy = MAP_FAILED;
    if (block->file >= 0 && ftruncate(block->file, (off_t)block->padded_bytes) == 0)
        copy = mmap(NULL, block->padded_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, block->file, 0);
    if (copy == MAP_FAILED) return CUDA_ERROR_OUT_OF_MEMORY;
    block->copy = copy;
    CUresult result = enter(block, CHUNK_DEVICE);
    if (result == CUDA_SUCCESS) return result;
    munmap(copy, block->padded_bytes);
    report("managed variables at [0x%llx] cannot be reached: the process uses these addresses itself.", (unsigned long long)block->address);
    return result;
}

CUresult managed_adopt(struct device *device, const struct part *parts, size_t count, uint64_t *address) {
    uint64_t low = UINT64_MAX, high = 0;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].address < low) low = parts[i].address;
        if (parts[i].address + parts[i].byte_count > high) high = parts[i].address + parts[i].byte_count;
    }
    low = low / PAGE_BYTES * PAGE_BYTES;
    if (count == 0 || high - low > device->arena.byte_count) return CUDA_ERROR_INVALID_VALUE;
    struct block *block = block_new(device, high - low, count);
    if (block == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
    block->address = low;
    memcpy(block->parts, parts, count * sizeof *parts);
    pthread_mutex_lock(&lock);
    CUresult result = open_mirror(device);
    if (result == CUDA_SUCCESS) result = map_parts(block);
    pthread_mutex_unlock(&lock);
    *address = low;
    if (result == CUDA_SUCCESS) return result;
    if (block->file > 0) close(block->file);
    free(block);
    return result;
}

struct device *managed_device(uint64_t address) {
    if (!atomic_load_explicit(&managed_in_use, memory_order_relaxed)) return NULL;
    pthread_mutex_lock(&lock);
    const struct block *block = block_at(address);
    struct device *device = block == NULL ? NULL : block->device;
    pthread_mutex_unlock(&lock);
    return device;
}

bool managed_find(uint64_t address, uint64_t *start, uint64_t *byte_count) {
    if (!atomic_load_explicit(&managed_in_use, memory_order_relaxed)) return false;
    pthread_mutex_lock(&lock);
    const struct block *block = block_at(address);
    if (block != NULL && start != NULL) *start = block->address;
    if (block != NULL && byte_count != NULL) *byte_count = block->byte_count;
    pthread_mutex_unlock(&lock);
    return block != NULL;
}

static void unmap(struct block *block) {
    void *at = (void *)(uintptr_t)block->address;
    if (block->parts != NULL) {
        munmap(at, block->padded_bytes);
        munmap(block->copy, block->padded_bytes);
        close(block->file);
        return;
    }
    mmap(at, block->padded_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    fallocate(block->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, block->offset, (off_t)block->padded_bytes);
}

void managed_forget(uint64_t address) {
    if (!atomic_load_explicit(&managed_in_use, memory_order_relaxed)) return;
    pthread_mutex_lock(&lock);
    size_t index = index_above(address);
    struct block *block = index > 0 && blocks[index - 1]->address == address ? blocks[index - 1] : NULL;
    if (block != NULL) {
        memmove(blocks + index - 1, blocks + index, (block_count - index) * sizeof *blocks);
        block_count--;
        struct block **at = &active;
        while (*at != NULL && *at != block) at = &(*at)->next_active;
        if (*at != NULL) *at = block->next_active;
        unmap(block);
        free(block);
    }
    pthread_mutex_unlock(&lock);
}

/* Sends what the host has touched of fresh chunks: the other pages are holes in the file. */
static CUresult send_touched(const struct block *block, size_t first, size_t count) {
    off_t at = block->offset + (off_t)chunk_start(first), end = at + (off_t)bytes_of(block, first, count);
    CUresult result = CUDA_SUCCESS;
    while (result == CUDA_SUCCESS && at < end) {
        off_t data = lseek(block->file, at, SEEK_DATA);
        if (data < 0 || data >= end) break;
        at = lseek(block->file, data, SEEK_HOLE);
        if (at < 0 || at > end) at = end;
        result = move(block, (uint64_t)(data - block->offset), (uint64_t)(at - data), true);
    }
    return result;
}

/* Takes a block from the host and sends what is newer there. */
static CUresult release(struct block *block, bool *has_sent) {
    keep_handler();
    CUresult result = protect(block, 0, block->chunk_count, PROT_NONE);
    for (size_t first = 0; first < block->chunk_count && result == CUDA_SUCCESS;) {
        uint8_t state = block->chunks[first];
        size_t count = 1;
        while (first + count < block->chunk_count && block->chunks[first + count] == state) count++;
        if (state == CHUNK_DIRTY) result = move(block, chunk_start(first), bytes_of(block, first, count), true);
        else if (state == CHUNK_FRESH) result = send_touched(block, first, count);
        *has_sent |= state == CHUNK_DIRTY || state == CHUNK_FRESH;
        first += count;
    }
    memset(block->chunks, CHUNK_DEVICE, block->chunk_count);
    block->is_active = false;
    return result;
}

CUresult managed_release(struct device *device) {
    if (!atomic_load_explicit(&managed_in_use, memory_order_relaxed)) return CUDA_SUCCESS;
    CUresult result = CUDA_SUCCESS;
    bool has_sent = false;
    pthread_mutex_lock(&lock);
    for (struct block **at = &active; *at != NULL && result == CUDA_SUCCESS;) {
        struct block *block = *at;
        if (block->device == device) {
            *at = block->next_active;
            result = release(block, &has_sent);
        } else {
            at = &block->next_active;
        }
    }
    /* The default stream is not ordered before streams that do not wait for it. */
    if (result == CUDA_SUCCESS && has_sent && atomic_load(&device->has_streams)) result = device_wait(device);
    pthread_mutex_unlock(&lock);
    return result;
}

CUresult managed_fetch(uint64_t address, uint64_t byte_count) {
    pthread_mutex_lock(&lock);
    struct block *block = block_at(address);
    CUresult result = block == NULL || byte_count > block->padded_bytes - (address - block->address) ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
    for (uint64_t at = address; result == CUDA_SUCCESS && at < address + byte_count;) {
        size_t chunk = (at - block->address) / CHUNK_BYTES, last = (address + byte_count - 1 - block->address) / CHUNK_BYTES;
        size_t count = run_of(block, chunk, last - chunk + 1);
        if (count > 0) result = fetch(block, chunk, count);
        at = block->address + chunk_start(chunk + (count > 0 ? count : 1));
    }
    pthread_mutex_unlock(&lock);
    return result;
}

CUresult managed_return(struct device *device) {
    if (!atomic_load_explicit(&managed_in_use, memory_order_relaxed) || !is_whole) return CUDA_SUCCESS;
    CUresult result = CUDA_SUCCESS;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < block_count && result == CUDA_SUCCESS; i++) {
        struct block *block = blocks[i];
        if (block->device != device || block->chunks[0] == CHUNK_FRESH || block->chunk_count == 0) continue;
        for (size_t chunk = 0; chunk < block->chunk_count && result == CUDA_SUCCESS;) {
            size_t count = run_of(block, chunk, block->chunk_count);
            if (count > 0) result = fetch(block, chunk, count);
            chunk += count > 0 ? count : 1;
        }
        if (result != CUDA_SUCCESS) break;
        memset(block->chunks, CHUNK_DIRTY, block->chunk_count);
        result = protect(block, 0, block->chunk_count, PROT_READ | PROT_WRITE);
    }
    pthread_mutex_unlock(&lock);
    return result;
}
