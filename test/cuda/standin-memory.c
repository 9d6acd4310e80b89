/* The stand-in's memory: the virtual memory API over host memory, page-locked host memory, and who may use what. */
#define _GNU_SOURCE
#include "standin.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

struct reservation {
  uint64_t address, bytes;
  struct reservation *next;
};

struct allocation {
  int device, file;
  uint64_t bytes;
  int references; /* the handle, and each mapping */
  int released;
  int was_mapped;
  struct allocation *next;
};

struct mapping {
  uint64_t address, bytes;
  struct allocation *allocation;
  int access; /* bit per device */
  struct mapping *next;
};

struct host {
  uint64_t address, bytes;
  int registered; /* the process's own, and not to be freed */
  struct host *next;
};

static struct reservation *reservations;
static struct allocation *allocations;
static struct mapping *mappings;
static struct host *hosts;

/* Memory of a device outside any arena. */
static struct plain {
  uint64_t address, bytes;
  int device;
  struct plain *next;
} *plains;

struct properties {
  int type, handle_types, location_type, location_id;
  void *metadata;
  unsigned char flags[8];
};

static int properties_ok(const struct properties *p) {
  return p->type == 1 && p->handle_types == 0 && p->location_type == 1 && p->location_id >= 0 && p->location_id < standin_devices() &&
         p->metadata == NULL;
}

API int cuMemGetAllocationGranularity(size_t *bytes, const struct properties *properties, int option) {
  BEGIN();
  *bytes = GRANULARITY;
  LEAVE(properties_ok(properties) && option >= 0 && option <= 1 ? SUCCESS : INVALID_VALUE);
}

API int cuMemAddressReserve(uint64_t *pointer, size_t bytes, size_t alignment, uint64_t hint, unsigned long long flags) {
  BEGIN();
  if (bytes == 0 || bytes % GRANULARITY != 0 || (alignment & (alignment - 1)) != 0 || flags != 0) LEAVE(INVALID_VALUE);
  /* SLUICE_STANDIN_IGNORE_HINT and SLUICE_STANDIN_REFUSE_HINT: a driver need not follow the hint, and some then fail. */
  if (hint != 0 && getenv("SLUICE_STANDIN_REFUSE_HINT") != NULL) LEAVE(OUT_OF_MEMORY);
  int fixed = hint != 0 && getenv("SLUICE_STANDIN_IGNORE_HINT") == NULL ? MAP_FIXED_NOREPLACE : 0;
  void *at = mmap(fixed ? (void *)hint : NULL, fixed ? bytes : bytes + GRANULARITY, PROT_NONE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | fixed, -1, 0);
  if (at == MAP_FAILED && fixed)
    at = mmap(NULL, bytes + GRANULARITY, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0), fixed = 0;
  if (at == MAP_FAILED) LEAVE(OUT_OF_MEMORY);
  struct reservation *r = malloc(sizeof *r);
  r->address = fixed ? (uint64_t)at : ((uint64_t)at + GRANULARITY - 1) / GRANULARITY * GRANULARITY;
  r->bytes = bytes;
  r->next = reservations;
  reservations = r;
  standin_alive.reservations++;
  *pointer = r->address;
  LEAVE(SUCCESS);
}

API int cuMemAddressFree(uint64_t address, size_t bytes) {
  BEGIN();
  for (struct mapping *m = mappings; m != NULL; m = m->next)
    if (m->address >= address && m->address < address + bytes) LEAVE(INVALID_VALUE);
  for (struct reservation **r = &reservations; *r != NULL; r = &(*r)->next) {
    if ((*r)->address != address || (*r)->bytes != bytes) continue;
    struct reservation *gone = *r;
    munmap((void *)address, bytes);
    *r = gone->next;
    free(gone);
    standin_alive.reservations--;
    LEAVE(SUCCESS);
  }
  LEAVE(INVALID_VALUE);
}

/* A card's memory is no file: a bound on the sizes of files does not concern it. */
static int resize(int file, uint64_t bytes) {
  struct rlimit own, none;
  getrlimit(RLIMIT_FSIZE, &own);
  none = own;
  none.rlim_cur = own.rlim_max;
  setrlimit(RLIMIT_FSIZE, &none);
  int result = ftruncate(file, (off_t)bytes);
  setrlimit(RLIMIT_FSIZE, &own);
  return result;
}

API int cuMemCreate(uint64_t *handle, size_t bytes, const struct properties *properties, unsigned long long flags) {
  BEGIN();
  if (!properties_ok(properties) || flags != 0 || bytes == 0 || bytes % GRANULARITY != 0) LEAVE(INVALID_VALUE);
  int device = properties->location_id;
  struct allocation *a = calloc(1, sizeof *a);
  a->file = memfd_create("standin", MFD_CLOEXEC);
  if (a->file < 0 || resize(a->file, bytes) != 0 || !standin_take(device, (int64_t)bytes)) {
    close(a->file);
    free(a);
    LEAVE(OUT_OF_MEMORY);
  }
  a->device = device;
  a->bytes = bytes;
  a->references = 1;
  a->next = allocations;
  allocations = a;
  standin_alive.allocations++;
  *handle = (uint64_t)a;
  LEAVE(SUCCESS);
}

static void drop(struct allocation *gone) {
  if (--gone->references > 0) return;
  for (struct allocation **a = &allocations; *a != NULL; a = &(*a)->next)
    if (*a == gone) {
      *a = gone->next;
      break;
    }
  close(gone->file);
  standin_take(gone->device, -(int64_t)gone->bytes);
  standin_alive.allocations--;
  free(gone);
}

static struct allocation *find_allocation(uint64_t handle) {
  for (struct allocation *a = allocations; a != NULL; a = a->next)
    if ((uint64_t)a == handle && !a->released) return a;
  return NULL;
}

API int cuMemRelease(uint64_t handle) {
  BEGIN();
  struct allocation *a = find_allocation(handle);
  if (a == NULL) LEAVE(INVALID_VALUE);
  a->released = 1;
  drop(a);
  LEAVE(SUCCESS);
}

API int cuMemMap(uint64_t address, size_t bytes, size_t offset, uint64_t handle, unsigned long long flags) {
  BEGIN();
  struct allocation *a = find_allocation(handle);
  if (a == NULL || offset != 0 || flags != 0 || bytes == 0 || bytes > a->bytes) LEAVE(INVALID_VALUE);
  if (address % GRANULARITY != 0 || bytes % GRANULARITY != 0) LEAVE(INVALID_VALUE);
  struct reservation *r = reservations;
  while (r != NULL && !(address >= r->address && address + bytes <= r->address + r->bytes)) r = r->next;
  if (r == NULL) LEAVE(INVALID_VALUE);
  for (struct mapping *m = mappings; m != NULL; m = m->next)
    if (address < m->address + m->bytes && m->address < address + bytes) LEAVE(INVALID_VALUE);
  if (mmap((void *)address, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, a->file, 0) == MAP_FAILED)
    LEAVE(OUT_OF_MEMORY);
  /* Memory that comes from the device holds what its last owner left: in the first and the last page of each granule, for the sake of speed. */
  for (uint64_t at = address; !a->was_mapped && at < address + bytes; at += GRANULARITY) {
    memset((void *)at, 0xdb, PAGE);
    memset((void *)(at + GRANULARITY - PAGE), 0xdb, PAGE);
  }
  a->was_mapped = 1;
  mprotect((void *)address, bytes, PROT_NONE);
  struct mapping *m = calloc(1, sizeof *m);
  m->address = address;
  m->bytes = bytes;
  m->allocation = a;
  m->next = mappings;
  mappings = m;
  a->references++;
  standin_alive.mappings++;
  LEAVE(SUCCESS);
}

API int cuMemUnmap(uint64_t address, size_t bytes) {
  BEGIN();
  for (struct mapping **m = &mappings; *m != NULL; m = &(*m)->next) {
    if ((*m)->address != address || (*m)->bytes != bytes) continue;
    struct mapping *gone = *m;
    for (int device = 0; device < DEVICES; device++)
      if (standin_contexts[device] != NULL && (gone->allocation->device == device || (gone->access & (1 << device))) &&
          standin_contexts[device]->error == SUCCESS && standin_busy(standin_contexts[device]))
        standin_violation("memory unmapped while work is under way");
    mmap((void *)address, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    *m = gone->next;
    drop(gone->allocation);
    free(gone);
    standin_alive.mappings--;
    LEAVE(SUCCESS);
  }
  LEAVE(INVALID_VALUE);
}

struct access {
  int location_type, location_id, flags;
};

API int cuMemSetAccess(uint64_t address, size_t bytes, const struct access *access, size_t count) {
  BEGIN();
  struct mapping *m = mappings;
  while (m != NULL && !(m->address == address && m->bytes == bytes)) m = m->next;
  if (m == NULL || count == 0 || address % GRANULARITY != 0 || bytes % GRANULARITY != 0) LEAVE(INVALID_VALUE);
  for (size_t i = 0; i < count; i++) {
    if (access[i].location_type != 1 || access[i].location_id < 0 || access[i].location_id >= standin_devices()) LEAVE(INVALID_DEVICE);
    if (access[i].flags == 3) m->access |= 1 << access[i].location_id;
  }
  mprotect((void *)address, bytes, PROT_READ | PROT_WRITE);
  LEAVE(SUCCESS);
}

int standin_range_ok(int device, uint64_t address, uint64_t bytes) {
  if (standin_variable_ok(device, address, bytes)) return 1;
  /* Mappings that lie side by side are one range to whoever uses them. */
  for (;;) {
    struct mapping *m = mappings;
    while (m != NULL && !((m->access & (1 << device)) && address >= m->address && address - m->address < m->bytes)) m = m->next;
    if (m == NULL) return 0;
    uint64_t left = m->address + m->bytes - address;
    if (bytes <= left) return 1;
    address += left;
    bytes -= left;
  }
}

API int cuMemGetInfo_v2(size_t *free_bytes, size_t *total) {
  ENTER();
  *total = DEVICE_BYTES;
  *free_bytes = DEVICE_BYTES - standin_used(standin_current->device);
  LEAVE(SUCCESS);
}

/* Memory outside any arena. */
API int cuMemAlloc_v2(uint64_t *pointer, size_t bytes) {
  ENTER();
  int device = standin_current->device;
  if (bytes == 0) LEAVE(INVALID_VALUE);
  if (!standin_take(device, (int64_t)bytes)) LEAVE(OUT_OF_MEMORY);
  struct plain *p = calloc(1, sizeof *p);
  *p = (struct plain){(uint64_t)aligned_alloc(256, (bytes + 255) / 256 * 256), bytes, device, plains};
  plains = p;
  *pointer = p->address;
  standin_alive.hosts++;
  LEAVE(SUCCESS);
}

API int cuMemFree_v2(uint64_t pointer) {
  BEGIN();
  for (struct plain **p = &plains; *p != NULL; p = &(*p)->next) {
    if ((*p)->address != pointer) continue;
    struct plain *gone = *p;
    struct context *c = standin_contexts[gone->device];
    if (c != NULL && c->error == SUCCESS && standin_busy(c)) standin_violation("memory freed while work is under way");
    *p = gone->next;
    free((void *)gone->address);
    standin_take(gone->device, -(int64_t)gone->bytes);
    free(gone);
    standin_alive.hosts--;
    LEAVE(SUCCESS);
  }
  LEAVE(INVALID_VALUE);
}

API int cuMemHostAlloc(void **pointer, size_t bytes, unsigned flags) {
  ENTER();
  if (bytes == 0 || (flags & ~7u) != 0) LEAVE(INVALID_VALUE);
  struct host *h = calloc(1, sizeof *h);
  h->address = (uint64_t)aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
  h->bytes = bytes;
  h->next = hosts;
  hosts = h;
  standin_alive.hosts++;
  *pointer = (void *)h->address;
  LEAVE(SUCCESS);
}

API int cuMemFreeHost(void *pointer) {
  /* Also in a failed context, as the tests look for leaks after faults. */
  BEGIN();
  for (struct host **h = &hosts; *h != NULL; h = &(*h)->next) {
    if ((*h)->address != (uint64_t)pointer || (*h)->registered) continue;
    struct host *gone = *h;
    if (standin_current != NULL && standin_current->error == SUCCESS && standin_busy(standin_current))
      standin_violation("page-locked memory freed while work is under way");
    *h = gone->next;
    free((void *)gone->address);
    free(gone);
    standin_alive.hosts--;
    LEAVE(SUCCESS);
  }
  LEAVE(INVALID_VALUE);
}

/* Memory of the process that becomes page-locked. */
API int cuMemHostRegister_v2(void *pointer, size_t bytes, unsigned flags) {
  ENTER();
  uint64_t address = (uint64_t)pointer;
  if (bytes == 0 || address == 0 || (flags & ~0xfu) != 0) LEAVE(INVALID_VALUE);
  for (struct host *h = hosts; h != NULL; h = h->next)
    if (address < h->address + h->bytes && h->address < address + bytes) LEAVE(HOST_MEMORY_ALREADY_REGISTERED);
  unsigned char vector[1];
  if (mincore((void *)(address / PAGE * PAGE), 1, vector) != 0) LEAVE(INVALID_VALUE);
  struct host *h = calloc(1, sizeof *h);
  h->address = address;
  h->bytes = bytes;
  h->registered = 1;
  h->next = hosts;
  hosts = h;
  standin_alive.hosts++;
  LEAVE(SUCCESS);
}

API int cuMemHostUnregister(void *pointer) {
  BEGIN();
  for (struct host **h = &hosts; *h != NULL; h = &(*h)->next) {
    if ((*h)->address != (uint64_t)pointer || !(*h)->registered) continue;
    struct host *gone = *h;
    unsigned char vector[1];
    if (mincore((void *)(gone->address / PAGE * PAGE), 1, vector) != 0) standin_violation("registered memory unmapped before its end");
    if (standin_current != NULL && standin_current->error == SUCCESS && standin_busy(standin_current))
      standin_violation("page-locked memory given back while work is under way");
    *h = gone->next;
    free(gone);
    standin_alive.hosts--;
    LEAVE(SUCCESS);
  }
  LEAVE(HOST_MEMORY_NOT_REGISTERED);
}

int standin_host_ok(uint64_t address, uint64_t bytes) {
  if (getenv("SLUICE_STANDIN_PAGEABLE") != NULL) return 1;
  for (struct host *h = hosts; h != NULL; h = h->next)
    if (address >= h->address && address + bytes <= h->address + h->bytes) return 1;
  return 0;
}

static int copy(struct stream *stream, struct work *work) { return standin_queue(standin_current, stream, work); }

API int cuMemcpyHtoDAsync_v2(uint64_t destination, uint64_t source, size_t bytes, struct stream *stream) {
  ENTER();
  if (!standin_range_ok(standin_current->device, destination, bytes) || !standin_host_ok(source, bytes)) LEAVE(INVALID_VALUE);
  LEAVE(copy(stream, &(struct work){.kind = COPY, .destination = destination, .source = source, .count = bytes}));
}

API int cuMemcpyDtoHAsync_v2(uint64_t destination, uint64_t source, size_t bytes, struct stream *stream) {
  ENTER();
  if (!standin_range_ok(standin_current->device, source, bytes) || !standin_host_ok(destination, bytes)) LEAVE(INVALID_VALUE);
  LEAVE(copy(stream, &(struct work){.kind = COPY, .destination = destination, .source = source, .count = bytes}));
}

API int cuMemcpyDtoDAsync_v2(uint64_t destination, uint64_t source, size_t bytes, struct stream *stream) {
  ENTER();
  int device = standin_current->device;
  if (!standin_range_ok(device, destination, bytes) || !standin_range_ok(device, source, bytes)) LEAVE(INVALID_VALUE);
  LEAVE(copy(stream, &(struct work){.kind = COPY, .destination = destination, .source = source, .count = bytes}));
}

static int fill(struct stream *stream, struct work work) {
  if (work.destination % work.width != 0) return INVALID_VALUE;
  if (!standin_range_ok(standin_current->device, work.destination, work.count * work.width)) return INVALID_VALUE;
  return standin_queue(standin_current, stream, &work);
}

API int cuMemsetD8Async(uint64_t address, unsigned char value, size_t count, struct stream *stream) {
  ENTER();
  LEAVE(fill(stream, (struct work){.kind = FILL, .destination = address, .value = value, .width = 1, .count = count}));
}

API int cuMemsetD16Async(uint64_t address, unsigned short value, size_t count, struct stream *stream) {
  ENTER();
  LEAVE(fill(stream, (struct work){.kind = FILL, .destination = address, .value = value, .width = 2, .count = count}));
}

API int cuMemsetD32Async(uint64_t address, unsigned value, size_t count, struct stream *stream) {
  ENTER();
  /* A card, or a server, that does not zero. */
  if (value == 0 && getenv("SLUICE_STANDIN_DIRTY") != NULL) LEAVE(SUCCESS);
  LEAVE(fill(stream, (struct work){.kind = FILL, .destination = address, .value = value, .width = 4, .count = count}));
}

/*
 * Does for a slice that is lost what the end of its process does on a real machine: ends the kernel that waits at the address, and frees
 * everything in the process.
 */
API void standin_release(uint64_t address) {
  if (standin_range_ok(0, address, 4)) *(volatile uint32_t *)address = 1;
  LOCK();
  for (int device = 0; device < DEVICES; device++) {
    struct context *c = standin_contexts[device];
    while (c != NULL && standin_busy(c)) pthread_cond_wait(&standin_changed, &standin_lock);
    if (c != NULL) standin_end_context(c);
  }
  while (mappings != NULL) {
    struct mapping *m = mappings;
    mappings = m->next;
    mmap((void *)m->address, m->bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    drop(m->allocation);
    free(m);
  }
  while (allocations != NULL) drop(allocations);
  while (reservations != NULL) {
    struct reservation *r = reservations;
    reservations = r->next;
    munmap((void *)r->address, r->bytes);
    free(r);
  }
  while (plains != NULL) {
    standin_take(plains->device, -(int64_t)plains->bytes);
    plains = plains->next;
  }
  hosts = NULL;
  standin_forget_textures();
  standin_forget_arrays();
  standin_forget_events();
  memset(&standin_alive, 0, sizeof standin_alive);
  UNLOCK();
}
