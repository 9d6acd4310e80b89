/* The stand-in's devices and contexts, injected failures, and the counters that the tests look at. */
#define _GNU_SOURCE
#include "standin.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

pthread_mutex_t standin_lock = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t standin_changed = PTHREAD_COND_INITIALIZER;
int standin_started;
_Thread_local struct context *standin_current;
struct context *standin_contexts[DEVICES];
uint64_t standin_delay_ns;
struct live standin_alive;

/* Of a thread: by default, and at most. */
#define STACK_BYTES 1024
#define STACK_BYTES_MAX (512 << 10)

static char violations[4096];

static struct {
  char function[64];
  int code;
  int skip;
  int count;
} injections[16];

/* Injects `code` into a function, after `skip` good calls, `count` times (-1: for ever). */
API void standin_inject(const char *function, int code, int skip, int count) {
  for (int i = 0; i < 16; i++) {
    if (injections[i].function[0] != 0 && strcmp(injections[i].function, function) != 0) continue;
    snprintf(injections[i].function, sizeof injections[i].function, "%s", function);
    injections[i].code = code;
    injections[i].skip = skip;
    injections[i].count = count;
    return;
  }
}

API void standin_clear(void) {
  memset(injections, 0, sizeof injections);
  violations[0] = 0;
  standin_delay_ns = 0;
}

uint64_t standin_device_bytes(void) {
  static uint64_t bytes;
  const char *text = bytes == 0 ? getenv("SLUICE_STANDIN_MEMORY") : NULL;
  if (bytes == 0) bytes = text == NULL ? 1ull << 30 : strtoull(text, NULL, 10) << 20;
  return bytes;
}

API void standin_delay(unsigned microseconds) { standin_delay_ns = microseconds * 1000ull; }

/* Takes memory of a device as another process would. */
API void standin_occupy(int device, int64_t bytes) { standin_take(device, bytes); }

/* What is alive, and what was misused, as text. Nothing of either: an empty one. */
API int standin_report(char *text, int bytes) {
  struct live *l = &standin_alive;
  text[0] = 0;
  if (l->contexts || l->reservations || l->allocations || l->mappings || l->hosts || l->modules || l->streams || l->events || l->textures || l->arrays)
    snprintf(text, bytes,
             "contexts=%d reservations=%d allocations=%d mappings=%d hosts=%d modules=%d streams=%d events=%d textures=%d arrays=%d ",
             l->contexts, l->reservations, l->allocations, l->mappings, l->hosts, l->modules, l->streams, l->events, l->textures, l->arrays);
  strncat(text, violations, bytes - strlen(text) - 1);
  return 0;
}

/* A list of function:code[:skip[:count]], separated by commas, and among them xid:device:number and uncorrected:count. */
static void inject_list(const char *list) {
  char copy[1024], *rest = copy;
  snprintf(copy, sizeof copy, "%s", list);
  for (char *item = strsep(&rest, ",\n"); item != NULL; item = strsep(&rest, ",\n")) {
    char function[64];
    int code, skip = 0, count = -1, known = sscanf(item, "%63[^:]:%d:%d:%d", function, &code, &skip, &count);
    if (known == 3 && strcmp(function, "xid") == 0) standin_xid(code, (unsigned)skip);
    else if (known == 2 && strcmp(function, "uncorrected") == 0) standin_uncorrected((unsigned)code);
    else if (known >= 2) standin_inject(function, code, skip, count);
  }
}

/* The file of `SLUICE_STANDIN_FILE` holds such a list, and is read again whenever it changes: failures of a process that runs already. */
static void inject_from_file(void) {
  static const char *path;
  static struct timespec read_at;
  static int asked;
  struct stat status;
  if (!asked) path = getenv("SLUICE_STANDIN_FILE"), asked = 1;
  if (path == NULL || stat(path, &status) != 0) return;
  if (status.st_mtim.tv_sec == read_at.tv_sec && status.st_mtim.tv_nsec == read_at.tv_nsec) return;
  read_at = status.st_mtim;
  char list[1024] = "";
  FILE *file = fopen(path, "r");
  if (file == NULL) return;
  list[fread(list, 1, sizeof list - 1, file)] = 0;
  fclose(file);
  memset(injections, 0, sizeof injections);
  inject_list(list);
}

/* `SLUICE_STANDIN_FAIL` is such a list, for a process from its start on. */
static void inject_from_environment(void) {
  const char *list = getenv("SLUICE_STANDIN_FAIL");
  if (list == NULL) return;
  inject_list(list);
}

/* Codes that do not fail: the function never returns, or the process dies in it, or it takes three seconds, or others give 60 MiB back meanwhile. */
enum { HANGS = 9999, CRASHES = 9998, SLOW = 9997, OTHERS_GIVE_BACK = 9996 };

int standin_injected(const char *function) {
  inject_from_file();
  for (int i = 0; i < 16; i++) {
    if (injections[i].count == 0 || strcmp(injections[i].function, function) != 0) continue;
    if (injections[i].skip > 0) {
      injections[i].skip--;
      return SUCCESS;
    }
    if (injections[i].count > 0) injections[i].count--;
    while (injections[i].code == HANGS) pause();
    if (injections[i].code == CRASHES) kill(getpid(), SIGSEGV);
    if (injections[i].code == SLOW) return sleep(3), SUCCESS;
    if (injections[i].code == OTHERS_GIVE_BACK) return standin_take(0, -(60ll << 20)), SUCCESS;
    return injections[i].code;
  }
  return SUCCESS;
}

void standin_violation(const char *what) {
  if (strstr(violations, what) == NULL) {
    strncat(violations, what, sizeof violations - strlen(violations) - 2);
    strcat(violations, ";");
  }
}

void __attribute__((noinline)) standin_recurse(int kibibytes) {
  volatile char frame[16384];
  for (size_t i = 0; i < sizeof frame; i += PAGE) frame[i] = (char)kibibytes;
  if (kibibytes > 16) standin_recurse(kibibytes - 16);
  frame[0] = frame[PAGE];
}

int standin_lost(const char *function) {
  if (standin_current == NULL || standin_current->error == SUCCESS || getenv("SLUICE_STANDIN_STICKY_FREES") == NULL) return SUCCESS;
  if (strncmp(function, "cuDevice", 8) == 0 || strcmp(function, "cuInit") == 0 || strcmp(function, "cuCtxSetCurrent") == 0) return SUCCESS;
  return standin_current->error;
}

int standin_enter(const char *function) {
  int injected = standin_injected(function);
  if (!standin_started) return NOT_INITIALIZED;
  if (standin_current == NULL || standin_current->users == 0) return INVALID_CONTEXT;
  if (standin_current->error != SUCCESS) return standin_current->error;
  /* Injected failures of a kernel's kind stay, as they do on a card. */
  if (injected == 214 || (injected >= 700 && injected < 800 && injected != LAUNCH_OUT_OF_RESOURCES &&
                          injected != HOST_MEMORY_ALREADY_REGISTERED))
    standin_current->error = injected;
  return injected;
}

API int cuInit(unsigned flags) {
  LOCK();
  static int prepared;
  if (!prepared) {
    prepared = 1;
    inject_from_environment();
    /* The driver looks for a Multi-Process Service at a default place, and its clients share their fatal errors. */
    if (getenv("CUDA_MPS_PIPE_DIRECTORY") == NULL) standin_violation("a Multi-Process Service would be joined");
  }
  int injected = standin_injected(__func__);
  if (injected == SUCCESS && flags == 0) standin_started = 1;
  LEAVE(injected != SUCCESS ? injected : flags == 0 ? SUCCESS : INVALID_VALUE);
}

int standin_version(void) {
  const char *old = getenv("SLUICE_STANDIN_VERSION");
  return old == NULL ? 13000 : atoi(old);
}

API int cuDriverGetVersion(int *version) {
  *version = standin_version();
  return SUCCESS;
}

static const struct {
  int code;
  const char *name, *text;
} errors[] = {
    {SUCCESS, "CUDA_SUCCESS", "no error"},
    {INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {NO_BINARY_FOR_GPU, "CUDA_ERROR_NO_BINARY_FOR_GPU", "no kernel image is available for execution on the device"},
    {INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {INVALID_PTX, "CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed"},
    {UNSUPPORTED_PTX_VERSION, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "the provided PTX was compiled with an unsupported toolchain."},
    {INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {NOT_READY, "CUDA_ERROR_NOT_READY", "device not ready"},
    {ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {ASSERT, "CUDA_ERROR_ASSERT", "device-side assert triggered"},
    {MISALIGNED_ADDRESS, "CUDA_ERROR_MISALIGNED_ADDRESS", "misaligned address"},
    {LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    {46, "CUDA_ERROR_DEVICE_UNAVAILABLE", "CUDA-capable device(s) is/are busy or unavailable"},
    {999, "CUDA_ERROR_UNKNOWN", "unknown error"},
    {NOT_SUPPORTED, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
};

API int cuGetErrorName(int error, const char **name) {
  for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
    if (errors[i].code == error) return *name = errors[i].name, SUCCESS;
  return *name = NULL, INVALID_VALUE;
}

API int cuGetErrorString(int error, const char **text) {
  for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
    if (errors[i].code == error) return *text = errors[i].text, SUCCESS;
  return *text = NULL, INVALID_VALUE;
}

int standin_devices(void) {
  const char *chosen = getenv("SLUICE_STANDIN_DEVICES");
  return chosen == NULL ? 2 : atoi(chosen);
}

API int cuDeviceGetCount(int *count) {
  BEGIN();
  *count = standin_devices();
  LEAVE(SUCCESS);
}

API int cuDeviceGet(int *device, int ordinal) {
  BEGIN();
  *device = ordinal;
  LEAVE(ordinal >= 0 && ordinal < standin_devices() ? SUCCESS : INVALID_DEVICE);
}

API int cuDeviceGetName(char *name, int bytes, int device) {
  BEGIN();
  const char *chosen = getenv("SLUICE_STANDIN_NAME");
  if (chosen != NULL) snprintf(name, bytes, "%s", chosen);
  else snprintf(name, bytes, "Stand-in GPU %d", device);
  LEAVE(SUCCESS);
}

API int cuDeviceGetUuid_v2(unsigned char *uuid, int device) {
  BEGIN();
  memset(uuid, 0xab, 16);
  uuid[15] = (unsigned char)device;
  LEAVE(SUCCESS);
}

API int cuDeviceTotalMem_v2(size_t *bytes, int device) {
  BEGIN();
  *bytes = DEVICE_BYTES;
  LEAVE(device < standin_devices() ? SUCCESS : INVALID_DEVICE);
}

API int cuDeviceGetPCIBusId(char *text, int bytes, int device) {
  BEGIN();
  snprintf(text, bytes, "0000:%02X:00.0", 0x3b + device);
  LEAVE(SUCCESS);
}

/* SLUICE_STANDIN_ATTRIBUTES is a list of attribute:value, or attribute:value@device, that comes before the table. */
int standin_chosen_attribute(int attribute, int device, int *value) {
  const char *list = getenv("SLUICE_STANDIN_ATTRIBUTES");
  for (int number, chosen, only; list != NULL; list++) {
    int parts = sscanf(list, "%d:%d@%d", &number, &chosen, &only);
    if (parts < 2) break;
    if (number == attribute && (parts == 2 || only == device)) return *value = chosen, 1;
    if ((list = strchr(list, ',')) == NULL) break;
  }
  return 0;
}

int standin_attribute(int attribute, int *value) {
  if (standin_chosen_attribute(attribute, -1, value)) return 1;
  static const int values[][2] = {{1, 1024},   {2, 1024},  {3, 1024}, {4, 64},  {5, 2147483647}, {6, 65535}, {7, 65535},
                                  {8, 49152},  {10, 32},   {14, 512}, {16, 4},   {20, 0},  {39, 2048},      {75, 9},    {76, 0},
                                  {22, 131072}, {23, 65536}, {51, 32}, {69, 134217728}, {70, 131072}, {71, 65000}, {72, 2097120},
                                  {88, 0},     {97, 232448}, {102, 1}};
  for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
    if (values[i][0] == attribute) return *value = values[i][1], 1;
  return 0;
}

int standin_capability(void) {
  int major = 0, minor = 0;
  standin_attribute(75, &major), standin_attribute(76, &minor);
  return 10 * major + minor;
}

API int cuDeviceGetAttribute(int *value, int attribute, int device) {
  BEGIN();
  if (device < 0 || device >= standin_devices()) LEAVE(INVALID_DEVICE);
  LEAVE(standin_chosen_attribute(attribute, device, value) || standin_attribute(attribute, value) ? SUCCESS : INVALID_VALUE);
}

API int cuDeviceCanAccessPeer(int *can, int device, int peer) {
  BEGIN();
  *can = device != peer;
  LEAVE(device < standin_devices() && peer < standin_devices() ? SUCCESS : INVALID_DEVICE);
}

API int cuDevicePrimaryCtxSetFlags_v2(int device, unsigned flags) {
  BEGIN();
  LEAVE(device < standin_devices() && (flags & ~0x1fu) == 0 ? SUCCESS : INVALID_VALUE);
}

API int cuDevicePrimaryCtxRetain(struct context **context, int device) {
  BEGIN();
  if (device < 0 || device >= standin_devices()) LEAVE(INVALID_DEVICE);
  struct context *c = standin_contexts[device];
  if (c == NULL) {
    if (!standin_take(device, CONTEXT_BYTES)) LEAVE(OUT_OF_MEMORY);
    c = calloc(1, sizeof *c);
    c->device = device;
    c->stack = STACK_BYTES;
    c->default_stream = standin_new_stream(c, 1);
    standin_contexts[device] = c;
    standin_alive.contexts++;
  }
  c->users++;
  *context = c;
  LEAVE(SUCCESS);
}

/* The memory of the struct stays, so that a thread which still has it current is answered INVALID_CONTEXT. */
void standin_end_context(struct context *c) {
  while (c->streams != NULL) standin_end_stream(c->streams);
  c->users = 0;
  standin_contexts[c->device] = NULL;
  standin_take(c->device, -(int64_t)CONTEXT_BYTES - c->launch_bytes - c->local_bytes);
  standin_alive.contexts--;
}

API int cuDevicePrimaryCtxRelease_v2(int device) {
  BEGIN();
  struct context *c = device < standin_devices() ? standin_contexts[device] : NULL;
  if (c == NULL) LEAVE(INVALID_CONTEXT);
  if (--c->users == 0) standin_end_context(c);
  LEAVE(SUCCESS);
}

API int cuCtxSetCurrent(struct context *context) {
  BEGIN();
  if (context != NULL && context->users == 0) LEAVE(INVALID_CONTEXT);
  standin_current = context;
  LEAVE(SUCCESS);
}

API int cuCtxGetLimit(size_t *value, int limit) {
  ENTER();
  *value = limit == 0 ? standin_current->stack : limit == 2 ? 8 << 20 : 1 << 20;
  LEAVE(SUCCESS);
}

int standin_resize_local(struct context *context, size_t bytes) {
  int processors = 0, threads = 0;
  standin_attribute(16, &processors), standin_attribute(39, &threads);
  bytes = (bytes + 15) / 16 * 16;
  int64_t wanted = bytes <= STACK_BYTES ? 0 : (int64_t)(bytes - STACK_BYTES) * processors * threads;
  wanted = (wanted + (int64_t)GRANULARITY - 1) / (int64_t)GRANULARITY * (int64_t)GRANULARITY;
  if (!standin_take(context->device, wanted - context->local_bytes)) return 0;
  context->local_bytes = wanted;
  context->stack = bytes;
  return 1;
}

/* The stack of each thread, the only limit that can be set here. A driver waits for all work first, which nobody who has others to serve may have it do. */
API int cuCtxSetLimit(int limit, size_t value) {
  ENTER();
  if (limit != 0 || value > STACK_BYTES_MAX) LEAVE(INVALID_VALUE);
  if (standin_busy(standin_current)) standin_violation("the stack's size set while work is under way");
  LEAVE(standin_resize_local(standin_current, value) ? SUCCESS : OUT_OF_MEMORY);
}
