/*
 * The stand-in's modules: PTX text is searched for its entries and their parameters. Kernels are C functions known by name; what they do
 * to memory is checked against what is mapped, so that a stray access fails the context as on a card.
 */
#define _GNU_SOURCE
#include "standin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* A variable of a module: memory outside any arena. */
struct variable {
  char name[128];
  char *memory;
  size_t bytes;
  struct variable *next;
};

static struct module *modules;

int standin_variable_ok(int device, uint64_t address, uint64_t bytes) {
  for (struct module *m = modules; m != NULL; m = m->next)
    for (struct variable *v = m->variables; m->context->device == device && v != NULL; v = v->next)
      if (address >= (uint64_t)v->memory && bytes <= v->bytes && address - (uint64_t)v->memory <= v->bytes - bytes) return 1;
  return 0;
}

static int known_module(const struct module *module) {
  const struct module *m = modules;
  while (m != NULL && m != module) m = m->next;
  return m != NULL;
}

/* Whether it is a function of a module that is loaded in the current context. */
static int known_function(const struct function *function) {
  for (const struct module *m = modules; m != NULL; m = m->next)
    for (const struct function *f = m->functions; f != NULL; f = f->next)
      if (f == function) return m->context == standin_current;
  return 0;
}

/* Puts blanks in the place of comments. */
static void drop_comments(char *text) {
  for (char *at = text; *at != 0; at++) {
    const char *end = NULL;
    if (at[0] == '/' && at[1] == '/') end = strchr(at, '\n');
    else if (at[0] == '/' && at[1] == '*') end = strstr(at, "*/") == NULL ? NULL : strstr(at, "*/") + 2;
    else continue;
    if (end == NULL) end = at + strlen(at);
    while (at < end) *at++ = ' ';
    at--;
  }
}

static int braces_match(const char *text) {
  int depth = 0;
  for (; *text != 0 && depth >= 0; text++) depth += (*text == '{') - (*text == '}');
  return depth == 0;
}

static size_t type_bytes(const char *type) {
  size_t bits = 0;
  while (*type != 0 && (*type < '0' || *type > '9')) type++;
  for (; *type >= '0' && *type <= '9'; type++) bits = bits * 10 + (size_t)(*type - '0');
  return bits / 8;
}

/* Reads `.param .align 8 .b8 name[24]` into the next place of the layout; 0 when its type is none. */
static int read_param(struct function *f, const char *text) {
  char type[16] = "";
  size_t alignment = 0, count = 1;
  const char *align = strstr(text, ".align"), *pointer = strstr(text, ".ptr");
  if (align != NULL && (pointer == NULL || align < pointer)) alignment = strtoul(align + 6, NULL, 10);
  const char *bracket = strchr(text, '[');
  if (bracket != NULL) count = strtoul(bracket + 1, NULL, 10);
  for (const char *dot = strchr(text, '.'); dot != NULL; dot = strchr(dot + 1, '.')) {
    char word[16] = "";
    if (sscanf(dot + 1, "%15[a-z0-9]", word) != 1) continue;
    if (strchr("usfb", word[0]) != NULL && type_bytes(word) > 0) snprintf(type, sizeof type, "%s", word);
  }
  size_t element = type_bytes(type), bytes = element * count;
  if (element == 0 || (element & (element - 1)) != 0) return 0;
  if (alignment == 0) alignment = element;
  size_t offset = (f->param_bytes + alignment - 1) / alignment * alignment;
  f->param_offset[f->param_count] = offset;
  f->param_size[f->param_count++] = bytes;
  f->param_bytes = offset + bytes;
  return 1;
}

/* Reads a kernel from its name on; 0 when a parameter is none. */
static int read_entry(struct module *module, const char *text) {
  struct function *f = calloc(1, sizeof *f), **last = &module->functions;
  f->module = module;
  f->dynamic_shared = 49152;
  sscanf(text, " %127[A-Za-z0-9_$]", f->name);
  int good = 1;
  const char *open = strchr(text, '('), *close = open == NULL ? NULL : strchr(open, ')'), *brace = strchr(text, '{');
  if (close != NULL && (brace == NULL || open < brace)) {
    char *list = strndup(open + 1, (size_t)(close - open - 1)), *rest = list;
    for (char *item = strsep(&rest, ","); item != NULL; item = strsep(&rest, ","))
      if (strstr(item, ".param") != NULL && f->param_count < 32) good &= read_param(f, item);
    free(list);
  }
  const char *end = strstr(text, ".entry"), *local = brace == NULL ? NULL : strstr(brace, ".local .align 4 .b8 own[");
  if (local != NULL && (end == NULL || local < end)) f->local_bytes = strtoul(strchr(local, '[') + 1, NULL, 10);
  while (*last != NULL) last = &(*last)->next;
  *last = f;
  return good;
}

/* Finds the declaration of a variable, such as `.global .align 4 .b8 table[1024];`, and gives it memory. */
static struct variable *read_variable(struct module *module, const char *name) {
  /* The compiler drops variables that nothing uses. */
  if (strcmp(name, "unused") == 0) return NULL;
  size_t length = strlen(name);
  for (const char *at = strstr(module->text, name); at != NULL; at = strstr(at + 1, name)) {
    if (at == module->text || at[-1] != ' ' || strchr(" ;[=\n", at[length]) == NULL) continue;
    const char *start = at;
    while (start > module->text && strchr(";}\n", start[-1]) == NULL) start--;
    char *words = strndup(start, (size_t)(at - start)), *type = strrchr(words, '.');
    size_t count = at[length] == '[' ? strtoul(at + length + 1, NULL, 10) : 1;
    size_t bytes = type != NULL && strstr(words, ".global") != NULL ? type_bytes(type) * count : 0;
    free(words);
    if (bytes == 0) continue;
    struct variable *v = calloc(1, sizeof *v);
    snprintf(v->name, sizeof v->name, "%s", name);
    v->bytes = bytes;
    v->memory = calloc(1, bytes);
    v->next = module->variables;
    return module->variables = v;
  }
  return NULL;
}

/* Bytes of all `.global .align 4 .b8 name[2][1024];` of a text. */
static int64_t variable_bytes(const char *text) {
  int64_t sum = 0;
  for (const char *at = strstr(text, ".global"); at != NULL; at = strstr(at + 1, ".global")) {
    const char *end = strpbrk(at, ";=\n"), *bracket = strchr(at, '[');
    if (end == NULL || bracket == NULL || bracket > end) continue;
    int64_t bytes = 1;
    for (; bracket != NULL && bracket < end; bracket = strchr(bracket + 1, '[')) bytes *= strtoll(bracket + 1, NULL, 10);
    sum += bytes;
  }
  return sum;
}

static void end_module(struct module *module) {
  standin_take(module->context->device, -module->bytes);
  for (struct module **m = &modules; *m != NULL; m = &(*m)->next)
    if (*m == module) {
      *m = module->next;
      break;
    }
  for (struct function *f = module->functions; f != NULL;) {
    struct function *next = f->next;
    free(f);
    f = next;
  }
  for (struct variable *v = module->variables; v != NULL;) {
    struct variable *next = v->next;
    free(v->memory);
    free(v);
    v = next;
  }
  free(module->text);
  free(module);
}

/* The PTX ISA that came with the driver's CUDA. */
static int newest_ptx(void) {
  static const int versions[][2] = {{13000, 90}, {12090, 88}, {12080, 87}, {12070, 86}, {12050, 85}, {12040, 84}};
  for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++)
    if (standin_version() >= versions[i][0]) return versions[i][1];
  return 83;
}

/* The text of a fatbin's first entry of PTX that is not packed, with a terminator, in memory that is never given back; NULL for none. */
static const char *text_of_fatbin(const char *image) {
  uint16_t header, kind;
  uint32_t entry_header;
  uint64_t bytes, entry_bytes;
  memcpy(&header, image + 6, 2), memcpy(&bytes, image + 8, 8);
  for (const char *at = image + header, *end = at + bytes; at < end; at += entry_header + entry_bytes) {
    memcpy(&kind, at, 2), memcpy(&entry_header, at + 4, 4), memcpy(&entry_bytes, at + 8, 8);
    if (kind == 1 && (at[41] & 0xa0) == 0) return strndup(at + entry_header, entry_bytes);
  }
  return NULL;
}

enum { CUBIN_HEADER = 64, MACHINE_AT = 18, FLAGS_AT = 48, MACHINE_CUDA = 190 };

unsigned char *standin_make_cubin(const char *text, int capability, size_t *bytes) {
  uint16_t machine = MACHINE_CUDA;
  uint32_t flags = (uint32_t)capability;
  unsigned char *cubin = calloc(1, *bytes = CUBIN_HEADER + strlen(text) + 1);
  memcpy(cubin, "\177ELF\2\1\1\0STANDIN", 15);
  memcpy(cubin + MACHINE_AT, &machine, 2), memcpy(cubin + FLAGS_AT, &flags, 4);
  strcpy((char *)cubin + CUBIN_HEADER, text);
  return cubin;
}

/* The text of the stand-in's own cubin, for which it must be for this device or an earlier one of the same major number. */
static const char *text_of_cubin(const char *image) {
  uint32_t capability;
  memcpy(&capability, image + FLAGS_AT, 4);
  if (memcmp(image + 8, "STANDIN", 7) != 0) return NULL;
  int own = standin_capability();
  return (int)capability / 10 == own / 10 && (int)capability <= own ? image + CUBIN_HEADER : NULL;
}

API int cuModuleLoadDataEx(struct module **module, const char *image, unsigned count, const int *options, void **values) {
  ENTER();
  if (memcmp(image, "\x50\xed\x55\xba", 4) == 0 && (image = text_of_fatbin(image)) == NULL) LEAVE(NO_BINARY_FOR_GPU);
  int is_binary = memcmp(image, "\177ELF", 4) == 0;
  if (is_binary && (image = text_of_cubin(image)) == NULL) LEAVE(NO_BINARY_FOR_GPU);
  standin_recurse(6144);
  char *log = NULL;
  size_t log_bytes = 0;
  for (unsigned i = 0; i < count; i++) {
    if (options[i] == 5) log = values[i];
    if (options[i] == 6) log_bytes = (size_t)values[i];
  }
  const char *wrong = strstr(image, "bogus");
  if (strstr(image, ".version") == NULL || wrong != NULL) {
    int line = 1;
    for (const char *c = image; wrong != NULL && c < wrong; c++) line += *c == '\n';
    if (log != NULL) snprintf(log, log_bytes, "ptxas application ptx input, line %d; error   : Not a name of any known instruction: 'bogus'\n", line);
    LEAVE(INVALID_PTX);
  }
  int major = 0, minor = 0;
  sscanf(strstr(image, ".version"), ".version %d.%d", &major, &minor);
  if (!is_binary && major * 10 + minor > newest_ptx()) LEAVE(UNSUPPORTED_PTX_VERSION);
  int target = 0;
  const char *wanted = strstr(image, ".target sm_");
  if (!is_binary && wanted != NULL && sscanf(wanted, ".target sm_%d", &target) == 1 && target > standin_capability()) {
    if (log != NULL) snprintf(log, log_bytes, "ptxas fatal   : SM version specified by .target is higher than default SM version assumed\n");
    LEAVE(INVALID_PTX);
  }
  struct module *m = calloc(1, sizeof *m);
  m->context = standin_current;
  m->text = strdup(image);
  m->next = modules;
  modules = m;
  drop_comments(m->text);
  int good = braces_match(m->text);
  for (const char *entry = strstr(m->text, ".entry"); entry != NULL; entry = strstr(entry + 6, ".entry")) good &= read_entry(m, entry + 6);
  if (!good) {
    end_module(m);
    LEAVE(INVALID_PTX);
  }
  int64_t bytes = getenv("SLUICE_STANDIN_MODULE_MEMORY") == NULL ? 0 : variable_bytes(m->text);
  if (!standin_take(m->context->device, bytes)) {
    end_module(m);
    LEAVE(OUT_OF_MEMORY);
  }
  m->bytes = bytes;
  standin_alive.modules++;
  *module = m;
  LEAVE(SUCCESS);
}

/* The linker: texts one behind the other. */
struct link {
  char *text;
  int count;
  char *log;
  size_t log_bytes;
};

API int cuLinkCreate_v2(unsigned count, const int *options, void **values, struct link **link) {
  ENTER();
  struct link *l = calloc(1, sizeof *l);
  l->text = strdup("");
  for (unsigned i = 0; i < count; i++) {
    if (options[i] == 5) l->log = values[i];
    if (options[i] == 6) l->log_bytes = (size_t)values[i];
  }
  *link = l;
  LEAVE(SUCCESS);
}

API int cuLinkAddData_v2(struct link *link, int kind, const char *data, size_t bytes, const char *name, unsigned count, const int *options,
                         void **values) {
  ENTER();
  (void)count, (void)options, (void)values;
  if (kind != 1 || bytes == 0 || data[bytes - 1] != 0 || name == NULL) LEAVE(INVALID_VALUE);
  char *longer = malloc(strlen(link->text) + bytes + 1);
  sprintf(longer, "%s%s\n", link->text, data);
  free(link->text);
  link->text = longer;
  link->count++;
  LEAVE(SUCCESS);
}

API int cuLinkComplete(struct link *link, void **image, size_t *bytes) {
  ENTER();
  const char *missing = strstr(link->text, ".extern");
  if (missing != NULL && strstr(link->text, ".visible .func") == NULL) {
    if (link->log != NULL) snprintf(link->log, link->log_bytes, "error   : Undefined reference to 'helper' in 'input'\n");
    LEAVE(INVALID_IMAGE);
  }
  *image = link->text;
  *bytes = strlen(link->text) + 1;
  LEAVE(SUCCESS);
}

API int cuLinkDestroy(struct link *link) {
  BEGIN();
  free(link->text);
  free(link);
  LEAVE(SUCCESS);
}

API int cuModuleUnload(struct module *module) {
  BEGIN();
  if (!known_module(module)) LEAVE(INVALID_HANDLE);
  if (module->context->error == SUCCESS && standin_busy(module->context)) standin_violation("a module unloaded while work is under way");
  standin_alive.modules--;
  end_module(module);
  LEAVE(SUCCESS);
}

API int cuModuleGetFunctionCount(unsigned *count, struct module *module) {
  ENTER();
  if (!known_module(module)) LEAVE(INVALID_HANDLE);
  *count = 0;
  for (struct function *f = module->functions; f != NULL; f = f->next) ++*count;
  LEAVE(SUCCESS);
}

API int cuModuleEnumerateFunctions(struct function **functions, unsigned count, struct module *module) {
  ENTER();
  if (!known_module(module)) LEAVE(INVALID_HANDLE);
  unsigned i = 0;
  for (struct function *f = module->functions; f != NULL && i < count; f = f->next) functions[i++] = f;
  LEAVE(SUCCESS);
}

API int cuModuleGetGlobal_v2(uint64_t *address, size_t *bytes, struct module *module, const char *name) {
  ENTER();
  if (!known_module(module)) LEAVE(INVALID_HANDLE);
  struct variable *v = module->variables;
  while (v != NULL && strcmp(v->name, name) != 0) v = v->next;
  if (v == NULL) v = read_variable(module, name);
  if (v == NULL) LEAVE(NOT_FOUND);
  *address = (uint64_t)v->memory;
  *bytes = v->bytes;
  LEAVE(SUCCESS);
}

API int cuFuncGetName(const char **name, struct function *f) {
  ENTER();
  if (!known_function(f)) LEAVE(INVALID_HANDLE);
  *name = f->name;
  LEAVE(SUCCESS);
}

API int cuFuncGetParamInfo(struct function *f, size_t index, size_t *offset, size_t *bytes) {
  ENTER();
  if (!known_function(f)) LEAVE(INVALID_HANDLE);
  if (index >= (size_t)f->param_count) LEAVE(INVALID_VALUE);
  *offset = f->param_offset[index];
  if (bytes != NULL) *bytes = f->param_size[index];
  LEAVE(SUCCESS);
}

API int cuFuncLoad(struct function *f) {
  ENTER();
  if (!known_function(f)) LEAVE(INVALID_HANDLE);
  f->loaded = 1;
  LEAVE(SUCCESS);
}

/* Local memory of a thread. */
static size_t local_bytes(const struct function *f) {
  if (f->local_bytes > 0) return f->local_bytes;
  if (strcmp(f->name, "greedy") == 0) return 262144;
  return strcmp(f->name, "roomy") == 0 ? 16384 : strcmp(f->name, "ample") == 0 ? 65536 : 0;
}

API int cuFuncGetAttribute(int *value, int attribute, struct function *f) {
  ENTER();
  if (!known_function(f)) LEAVE(INVALID_HANDLE);
  if (!f->loaded && (attribute == 0 || attribute == 2 || attribute == 8)) LEAVE(FUNCTION_NOT_LOADED);
  static const int values[] = {1024, 0, 0, 0, 16, 90, 90, 0, 49152};
  if (attribute < 0 || attribute > 8) LEAVE(INVALID_VALUE);
  *value = values[attribute];
  if (attribute == 0 && strcmp(f->name, "narrow") == 0) *value = 256;
  if (attribute == 3) *value = (int)local_bytes(f);
  if (attribute == 8) *value = f->dynamic_shared;
  LEAVE(SUCCESS);
}

API int cuFuncSetAttribute(struct function *f, int attribute, int value) {
  ENTER();
  if (!known_function(f)) LEAVE(INVALID_HANDLE);
  if (attribute != 8 || value < 0 || value > 232448) LEAVE(INVALID_VALUE);
  f->dynamic_shared = value;
  LEAVE(SUCCESS);
}

API int cuLaunchKernel(struct function *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                       unsigned shared, struct stream *stream, void **params, void **extra) {
  ENTER();
  if (!known_function(f)) LEAVE(INVALID_HANDLE);
  if (gx == 0 || gy == 0 || gz == 0 || bx == 0 || by == 0 || bz == 0) LEAVE(INVALID_VALUE);
  if (gx > 2147483647u || gy > 65535 || gz > 65535 || bx > 1024 || by > 1024 || bz > 64) LEAVE(INVALID_VALUE);
  if ((uint64_t)bx * by * bz > 1024 || params != NULL || shared > (unsigned)f->dynamic_shared) LEAVE(INVALID_VALUE);
  if (strcmp(f->name, "narrow") == 0 && (uint64_t)bx * by * bz > 256) LEAVE(LAUNCH_OUT_OF_RESOURCES);
  struct work w = {.kind = KERNEL, .function = f, .grid = {gx, gy, gz}, .block = {bx, by, bz}, .value = shared};
  if (extra != NULL) {
    if (extra[0] != (void *)1 || extra[2] != (void *)2 || extra[4] != NULL) LEAVE(INVALID_VALUE);
    size_t bytes = *(size_t *)extra[3];
    if (bytes != f->param_bytes || bytes > sizeof w.params) LEAVE(INVALID_VALUE);
    memcpy(w.params, extra[1], bytes);
  } else if (f->param_bytes > 0) {
    LEAVE(INVALID_VALUE);
  }
  if (!standin_knows_kernel(f->name)) LEAVE(NOT_SUPPORTED);
  /* More local memory than any kernel before had is taken at the launch, and kept; the work under way is waited for. */
  if (local_bytes(f) > standin_current->stack) {
    if (standin_busy(standin_current)) standin_violation("local memory grown while work is under way");
    if (!standin_resize_local(standin_current, local_bytes(f))) LEAVE(OUT_OF_MEMORY);
  }
  /* SLUICE_STANDIN_LAUNCH_MEMORY is what a context takes at its first launch, in MiB: a driver may put that off. */
  const char *late = getenv("SLUICE_STANDIN_LAUNCH_MEMORY");
  if (late != NULL && standin_current->launch_bytes == 0) {
    int64_t bytes = atoll(late) << 20;
    if (!standin_take(standin_current->device, bytes)) LEAVE(OUT_OF_MEMORY);
    standin_current->launch_bytes = bytes;
  }
  LEAVE(standin_queue(standin_current, stream, &w));
}

/* CUlaunchConfig; the one attribute that is known makes a launch cooperative, for which a grid of 8 blocks is the most that fits. */
struct launch_config {
  unsigned gx, gy, gz, bx, by, bz, shared;
  struct stream *stream;
  struct {
    int id, padding, value[16];
  } *attributes;
  unsigned count;
};

API int cuLaunchKernelEx(const struct launch_config *config, struct function *f, void **params, void **extra) {
  if (config->count != 1 || config->attributes[0].id != 2 || config->attributes[0].value[0] != 1) return INVALID_VALUE;
  if ((uint64_t)config->gx * config->gy * config->gz > 8) return COOPERATIVE_LAUNCH_TOO_LARGE;
  return cuLaunchKernel(f, config->gx, config->gy, config->gz, config->bx, config->by, config->bz, config->shared, config->stream, params, extra);
}

/* Parameters of a kernel, by index. */
static uint64_t word(struct work *w, int index) {
  uint64_t value = 0;
  memcpy(&value, w->params + w->function->param_offset[index], w->function->param_size[index]);
  return value;
}

static float real(struct work *w, int index) {
  float value;
  memcpy(&value, w->params + w->function->param_offset[index], sizeof value);
  return value;
}

static int usable(struct context *c, uint64_t address, uint64_t bytes) {
  LOCK();
  int reaches_host = 0, ok = standin_range_ok(c->device, address, bytes);
  /* With heterogeneous memory management a kernel may use what its process may. */
  if (!ok && standin_chosen_attribute(88, -1, &reaches_host) && reaches_host) {
    char copy[4];
    struct iovec here = {copy, sizeof copy}, there = {(void *)address, sizeof copy};
    ok = process_vm_readv(getpid(), &here, 1, &there, 1, 0) == sizeof copy;
  }
  UNLOCK();
  return ok;
}

/* vector_add(u32 n, float *a, float *b, float *out) */
static int vector_add(struct context *c, struct work *w) {
  uint64_t n = word(w, 0), a = word(w, 1), b = word(w, 2), out = word(w, 3);
  if (n == 0) return SUCCESS;
  if (!usable(c, a, n * 4) || !usable(c, b, n * 4) || !usable(c, out, n * 4)) return ILLEGAL_ADDRESS;
  for (uint64_t i = 0; i < n; i++) ((float *)out)[i] = ((float *)a)[i] + ((float *)b)[i];
  return SUCCESS;
}

/* saxpy(u32 n, float a, float *x, float *y) */
static int saxpy(struct context *c, struct work *w) {
  uint64_t n = word(w, 0), x = word(w, 2), y = word(w, 3);
  float a = real(w, 1);
  if (!usable(c, x, n * 4) || !usable(c, y, n * 4)) return ILLEGAL_ADDRESS;
  for (uint64_t i = 0; i < n; i++) ((float *)y)[i] += a * ((float *)x)[i];
  return SUCCESS;
}

/* store_at(u64 address, u32 value) */
static int store_at(struct context *c, struct work *w) {
  if (word(w, 0) % 4 != 0) return MISALIGNED_ADDRESS;
  if (!usable(c, word(w, 0), 4)) return ILLEGAL_ADDRESS;
  *(uint32_t *)word(w, 0) = (uint32_t)word(w, 1);
  return SUCCESS;
}

/* endless(u64 flag): until the word at the address is not zero. */
static int endless(struct context *c, struct work *w) {
  uint64_t flag = word(w, 0);
  if (!usable(c, flag, 4)) return ILLEGAL_ADDRESS;
  while (*(volatile uint32_t *)flag == 0) usleep(1000);
  return SUCCESS;
}

/* recurse(u32 bytes): needs so much stack; recurse(u32 depth, u64 sum): 128 bytes a call. */
static int recurse(struct context *c, struct work *w) {
  uint64_t depth = word(w, 0), sum = w->function->param_count > 1 ? word(w, 1) : 0;
  if (sum == 0) return depth <= c->stack ? SUCCESS : ILLEGAL_ADDRESS;
  if (depth * 128 > c->stack || !usable(c, sum, 4)) return ILLEGAL_ADDRESS;
  *(uint32_t *)sum = (uint32_t)(depth * (depth + 1) / 2);
  return SUCCESS;
}

/* pause(u32 microseconds) */
static int pause_for(struct context *c, struct work *w) {
  (void)c;
  usleep((unsigned)word(w, 0));
  return SUCCESS;
}

/* print(u32 number): a line into the buffer that the next synchronisation writes to standard output. */
static int print(struct context *c, struct work *w) {
  LOCK();
  int room = (int)(sizeof c->output - c->output_bytes);
  int length = snprintf(c->output + c->output_bytes, (size_t)room, "number %u\n", (unsigned)word(w, 0));
  if (length < room) c->output_bytes += (size_t)length;
  UNLOCK();
  return SUCCESS;
}

/* sluice_trial(u64 out, u32 none): 64 threads' numbers. SLUICE_STANDIN_MISCALCULATES: a card that computes wrongly. */
static int trial(struct context *c, struct work *w) {
  uint64_t out = word(w, 0);
  if (!usable(c, out, 64 * 4)) return ILLEGAL_ADDRESS;
  for (uint32_t i = 0; i < 64; i++) ((uint32_t *)out)[i] = 3 * i + 1;
  if (getenv("SLUICE_STANDIN_MISCALCULATES") != NULL) ((uint32_t *)out)[63]++;
  return SUCCESS;
}

/* keep(u64 out, u32 value): puts a value that is not 0 into its module's variable `large`; tells that one's address, and what it holds. */
static int keep(struct context *c, struct work *w) {
  uint64_t out = word(w, 0);
  uint32_t value = (uint32_t)word(w, 1);
  if (!usable(c, out, 12)) return ILLEGAL_ADDRESS;
  LOCK();
  struct module *module = w->function->module;
  struct variable *v = module->variables;
  while (v != NULL && strcmp(v->name, "large") != 0) v = v->next;
  if (v == NULL) v = read_variable(module, "large");
  UNLOCK();
  if (v == NULL) return LAUNCH_FAILED;
  if (value != 0) *(uint32_t *)v->memory = value;
  *(uint64_t *)out = (uint64_t)v->memory;
  *(uint32_t *)(out + 8) = *(uint32_t *)v->memory;
  return SUCCESS;
}

static int trap(struct context *c, struct work *w) {
  (void)c;
  (void)w;
  return LAUNCH_FAILED;
}

static int nothing(struct context *c, struct work *w) {
  (void)c;
  (void)w;
  return SUCCESS;
}

static const struct {
  const char *name;
  int (*run)(struct context *, struct work *);
} kernels[] = {{"vector_add", vector_add}, {"saxpy", saxpy},       {"store_at", store_at}, {"endless", endless}, {"pause_for", pause_for},
               {"print", print},           {"keep", keep},         {"trap", trap},         {"empty", nothing},     {"narrow", nothing},  {"greedy", nothing},     {"roomy", nothing},     {"ample", nothing},     {"recurse", recurse},
               {"wants_shared", nothing}, {"matmul", nothing},      {"fetch_texel", standin_fetch_texel},
               {"sluice_trial", trial},     {"sluice_calls", nothing},     {"fetch_at", standin_fetch_at}, {"store_texel", standin_store_texel}};

int standin_knows_kernel(const char *name) {
  for (size_t i = 0; i < sizeof kernels / sizeof kernels[0]; i++)
    if (strcmp(kernels[i].name, name) == 0) return 1;
  return getenv("SLUICE_STANDIN_ANY_KERNEL") != NULL;
}

int standin_run_kernel(struct context *context, struct work *work) {
  for (size_t i = 0; i < sizeof kernels / sizeof kernels[0]; i++)
    if (strcmp(kernels[i].name, work->function->name) == 0) return kernels[i].run(context, work);
  return SUCCESS; /* With SLUICE_STANDIN_ANY_KERNEL all others do nothing. */
}
