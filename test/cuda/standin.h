/*
 * A stand-in for the CUDA driver and NVML, for tests on machines without a GPU. Device memory is host memory behind the virtual memory API with
 * its real rules; streams are threads, so that work is truly asynchronous; a few kernels are known by name. Stricter than the driver where
 * that finds mistakes: host memory of copies must be page-locked. Own declarations, so that no CUDA header is needed.
 *
 * Variables by which a test chooses the machine, each with SLUICE_STANDIN_ before it:
 *   DEVICES, NAME, MEMORY, ATTRIBUTES, VERSION, MIG: how many devices, what they are called, their MiB, attributes by number:value (of one device:
 *     number:value@device), the driver's version, instances of a card
 *   OTHERS: MiB of the first device that other programs have
 *   CARD: a file by which processes share the devices
 *   FAIL, FILE: calls that fail (function:error,...), and the same in a file that may change
 *   IGNORE_HINT, REFUSE_HINT, PAGEABLE: addresses that are not as wished, ones that fail, copies of memory that is not page-locked
 *   MODULE_MEMORY: variables of modules take memory of the device, as on a card
 *   LATE_MS, FAULT_KEEPS, LAUNCH_MEMORY, STICKY_FREES, DIRTY: memory that comes back late, not at all, goes at a launch, is not freed, is not zeroed
 *   ANY_KERNEL, MISCALCULATES, INSTANT: kernels that are not known do nothing, sums are wrong, work takes no time
 *   NVML, ARCHS, PTX: what NVML answers, what NVRTC compiles for, the version of its PTX
 */
#ifndef SLUICE_STANDIN_H
#define SLUICE_STANDIN_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#define API __attribute__((visibility("default")))

enum {
  SUCCESS = 0,
  INVALID_VALUE = 1,
  OUT_OF_MEMORY = 2,
  NOT_INITIALIZED = 3,
  NO_DEVICE = 100,
  INVALID_DEVICE = 101,
  INVALID_IMAGE = 200,
  INVALID_CONTEXT = 201,
  NO_BINARY_FOR_GPU = 209,
  INVALID_PTX = 218,
  INVALID_HANDLE = 400,
  NOT_FOUND = 500,
  NOT_READY = 600,
  ILLEGAL_ADDRESS = 700,
  LAUNCH_OUT_OF_RESOURCES = 701,
  HOST_MEMORY_ALREADY_REGISTERED = 712,
  HOST_MEMORY_NOT_REGISTERED = 713,
  COOPERATIVE_LAUNCH_TOO_LARGE = 720,
  ASSERT = 710,
  MISALIGNED_ADDRESS = 716,
  LAUNCH_FAILED = 719,
  UNSUPPORTED_PTX_VERSION = 222,
  NOT_SUPPORTED = 801,
  FUNCTION_NOT_LOADED = 913,
};

/* At most; there are two, or SLUICE_STANDIN_DEVICES. */
#define DEVICES 8
int standin_devices(void);
#define GRANULARITY (2ull << 20)
#define PAGE 4096ull
/* 1 GiB, or SLUICE_STANDIN_MEMORY in MiB: memory that nobody touches costs nothing. */
#define DEVICE_BYTES standin_device_bytes()
uint64_t standin_device_bytes(void);
#define CONTEXT_BYTES (96ull << 20)

struct stream;

/* The primary context of a device. */
struct context {
  int device;
  int users;
  int64_t launch_bytes; /* what its first launch took, and the code of libraries that stays */
  int has_fft; /* cuFFT's is loaded */
  size_t stack; /* local memory of each thread: the limit, or what the hungriest kernel since it was set has had */
  int64_t local_bytes; /* what all threads have of it beyond what comes with a context */
  int error; /* what every call returns once a kernel has failed */
  struct stream *default_stream;
  struct stream *streams;
  char output[65536]; /* what kernels have printed and nobody has flushed */
  size_t output_bytes;
};

struct event {
  struct event *next;
  int references;
  int timed;
  uint64_t recorded; /* number of recordings asked for, and done */
  uint64_t done;
  uint64_t at_ns;
  struct context *context;
};

struct function {
  struct module *module;
  char name[128];
  int param_count;
  size_t param_offset[32], param_size[32], param_bytes;
  int loaded;
  int dynamic_shared;
  size_t local_bytes; /* as its text declares them */
  struct function *next;
};

struct module {
  struct context *context;
  struct function *functions;
  char *text;
  struct variable *variables;
  int64_t bytes; /* what it has of the device */
  struct module *next;
};

/* One piece of work in a stream. */
struct work {
  enum { COPY, FILL, KERNEL, TASK, ARRAY_COPY, RECORD, WAIT_EVENT, WAIT_STREAM } kind;
  uint64_t destination, source, count;
  uint32_t value, width;
  struct function *function;
  uint32_t grid[3], block[3];
  unsigned char params[4096];
  struct event *event;
  uint64_t generation;
  struct stream *other;
  int (*task)(struct context *context, void *argument); /* of a TASK, whose source is its argument: one block, which the task frees */
  struct work *next;
};

/* One lock for everything: this is for right answers, not for speed. */
extern pthread_mutex_t standin_lock;
extern pthread_cond_t standin_changed;
extern int standin_started;
extern _Thread_local struct context *standin_current;
extern struct context *standin_contexts[DEVICES];
extern uint64_t standin_delay_ns;

/* Counters of what is alive, by kind. */
struct live {
  int contexts, reservations, allocations, mappings, hosts, modules, streams, events, textures, arrays;
};
extern struct live standin_alive;

/* Memory of a device that is in use, by all who share it. */
uint64_t standin_used(int device);
/* The id of a process by its place, 0 where it has nothing of the device, and below 0 behind the last; and what it has, in bytes. */
int standin_process(int device, int place, unsigned long long *bytes);
/* Takes memory of a device; 0 where it has not that much. Negative: gives back. */
int standin_take(int device, int64_t bytes);

/* A context has failed: the device may keep something. */
void standin_keep_after_fault(int device);

/* A failure to inject into the function, or 0. */
int standin_injected(const char *function);
/* What a call that needs no context returns in one that a kernel has failed: with SLUICE_STANDIN_STICKY_FREES the context's error, as on some drivers. */
int standin_lost(const char *function);
/* What a context's call returns at once: an injected failure, a missing context, or the context's own error. */
int standin_enter(const char *function);
/* Has a device report an Xid, and the first one a number of memory errors. */
void standin_xid(int device, unsigned xid);
void standin_uncorrected(unsigned count);
/* Counts a misuse that the driver would not report. */
void standin_violation(const char *what);
/* Uses as much of the stack as a compiler may: most of what a thread has by default. */
void standin_recurse(int kibibytes);
/* Whether the environment chooses an attribute of a device, and its value. */
int standin_chosen_attribute(int attribute, int device, int *value);
/* An attribute of all devices; 0 for one that they do not have. */
int standin_attribute(int attribute, int *value);
/* The devices' compute capability as major * 10 + minor. */
int standin_capability(void);
/* Version of the driver as it tells it, such as 13000. */
int standin_version(void);

/* Whether a device may use a range of device addresses. */
int standin_range_ok(int device, uint64_t address, uint64_t bytes);
/* Whether a range lies in one variable of a module of a device. */
int standin_variable_ok(int device, uint64_t address, uint64_t bytes);
/* Whether a range of host addresses is page-locked. */
int standin_host_ok(uint64_t address, uint64_t bytes);
/* An ELF file without sections for a compute capability, in which the stand-in's driver finds a program's text. */
unsigned char *standin_make_cubin(const char *text, int capability, size_t *bytes);
/* Runs a kernel by its name; returns the error that it leaves behind. */
int standin_run_kernel(struct context *context, struct work *work);
/* An element of a type as cuBLASLt numbers them, in host or device memory. */
double standin_load(int type, uint64_t at, uint64_t index);
void standin_store(int type, uint64_t at, uint64_t index, double value);
/* fetch_texel(u64 texture, u32 x, u32 y, u64 out): four words of the nearest texel. */
int standin_fetch_texel(struct context *context, struct work *work);
/* The same from any texture, with plane (or layer) and level; and a store through a surface. */
int standin_fetch_at(struct context *context, struct work *work);
int standin_store_texel(struct context *context, struct work *work);
struct array;
struct mipmapped;
/* Bytes of a number of a format; 0 for what is none. */
unsigned standin_number_bytes(int format);
/* Whether a texture or a surface is over an array, or a mipmapped one. */
int standin_is_image_over(const void *array);
void standin_copy_array(struct work *work);
unsigned char *standin_texel(const struct array *array, uint64_t x, uint64_t y, uint64_t z, unsigned *bytes);
int standin_array_ok(const struct array *array, int is_surface);
unsigned standin_array_number_bytes(const struct array *array);
int standin_array_format(const struct array *array);
int standin_array_is_cube(const struct array *array);
struct array *standin_level(const struct mipmapped *mipmapped, uint64_t level);
void standin_forget_arrays(void);
/* Forgets all events. */
void standin_forget_events(void);
/* Forgets all textures. */
void standin_forget_textures(void);
int standin_knows_kernel(const char *name);

/* Gives every thread so much local memory, of which the first 1024 bytes come with the context; 0 where the device has not that much. */
int standin_resize_local(struct context *context, size_t bytes);

int standin_queue(struct context *context, struct stream *stream, struct work *work);
/* Whether a stream is there and not destroyed. */
int standin_has_stream(const struct context *context, const struct stream *stream);
int standin_busy(struct context *context);
struct stream *standin_new_stream(struct context *context, int blocking);
void standin_end_context(struct context *context);
void standin_end_stream(struct stream *stream);
void standin_flush_output(struct context *context);

#define LOCK() pthread_mutex_lock(&standin_lock)
#define UNLOCK() pthread_mutex_unlock(&standin_lock)
/* Opens a function that needs a current context; the lock is held from here on. */
#define ENTER()                                   \
  LOCK();                                         \
  {                                               \
    int entered = standin_enter(__func__);        \
    if (entered != SUCCESS) {                     \
      UNLOCK();                                   \
      return entered;                             \
    }                                             \
  }
/* Opens a function that needs none. */
#define BEGIN()                                              \
  LOCK();                                                    \
  {                                                          \
    int injected = standin_injected(__func__);               \
    if (injected == SUCCESS) injected = standin_lost(__func__); \
    if (injected == SUCCESS && !standin_started) injected = NOT_INITIALIZED; \
    if (injected != SUCCESS) {                               \
      UNLOCK();                                              \
      return injected;                                       \
    }                                                        \
  }
#define LEAVE(result)          \
  do {                         \
    int leaving = (result);    \
    UNLOCK();                  \
    return leaving;            \
  } while (0)

#endif
