/*
 * The stand-in's NVRTC: "compiles" by writing an entry for every kernel that it finds in the source, and the options that it is given as comments.
 * For a real architecture there is a cubin beside the text: an ELF file in which the stand-in's driver finds that text.
 */
#define _GNU_SOURCE
#include "standin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct program {
  char *source, *result, *log;
  unsigned char *cubin;
  size_t cubin_bytes;
};

static int programs;

#define ASK()                                            \
  do {                                                   \
    int injected = standin_injected(__func__);           \
    if (injected != SUCCESS) return injected;            \
  } while (0)

/* Programs that nobody has destroyed, and how many were ever compiled. */
API int standin_programs(void) { return programs; }

API int nvrtcCreateProgram(struct program **out, const char *source, const char *name, int count, const char *const *headers,
                           const char *const *names) {
  ASK();
  if (strcmp(name, "program.cu") != 0 || count != 0 || headers != NULL || names != NULL) return 3;
  *out = calloc(1, sizeof **out);
  (*out)->source = strdup(source);
  programs++;
  return 0;
}

API int nvrtcDestroyProgram(struct program **program) {
  struct program *p = *program;
  free(p->source);
  free(p->result);
  free(p->cubin);
  free(p->log);
  free(p);
  *program = NULL;
  programs--;
  return 0;
}

/* SLUICE_STANDIN_ARCHS is a list of compute capabilities, as an older or a newer NVRTC has. */
static int read_archs(int *archs) {
  const char *list = getenv("SLUICE_STANDIN_ARCHS");
  int count = 0;
  for (char *rest = strdup(list == NULL ? "75,80,86,89,90,100,120" : list), *at = rest, *item; count < 16 && (item = strsep(&at, ",")) != NULL;)
    archs[count++] = atoi(item);
  return count;
}

API int nvrtcVersion(int *major, int *minor) {
  ASK();
  *major = 13, *minor = 0;
  return 0;
}

API int nvrtcGetNumSupportedArchs(int *count) {
  int archs[16];
  ASK();
  return *count = read_archs(archs), 0;
}

API int nvrtcGetSupportedArchs(int *archs) {
  ASK();
  return read_archs(archs), 0;
}

static int knows_arch(const char *target) {
  int archs[16], count = read_archs(archs), known = 0;
  for (int i = 0; i < count; i++) known |= archs[i] == atoi(target);
  return known;
}

API int nvrtcCompileProgram(struct program *p, int count, const char *const *options) {
  ASK();
  usleep(20000);
  standin_recurse(6144);
  char target[64] = "", *to;
  int is_real = 0;
  for (int i = 0; i < count; i++) {
    sscanf(options[i], "--gpu-architecture=compute_%60s", target);
    is_real |= sscanf(options[i], "--gpu-architecture=sm_%60s", target) == 1;
  }
  if (!knows_arch(target)) return p->log = strdup("nvrtc: error: invalid value for --gpu-architecture (-arch)\n"), 5;
  if (strstr(p->source, "nonsense") != NULL)
    return p->log = strdup("program.cu(1): error: identifier \"nonsense\" is undefined\n"), 6;
  p->log = strdup(strstr(p->source, "unused") != NULL ? "program.cu(1): warning: variable \"unused\" was never used\n" : "");
  to = p->result = calloc(1, 4096);
  /* SLUICE_STANDIN_PTX is the version of the text that a newer compiler writes. */
  const char *version = getenv("SLUICE_STANDIN_PTX");
  to += sprintf(to, ".version %.8s\n.target sm_%s\n.address_size 64\n", version == NULL ? "8.0" : version, target);
  for (int i = 0; i < count && i < 32; i++) to += sprintf(to, "// %.64s\n", options[i]);
  for (const char *at = strstr(p->source, "__global__ void "); at != NULL; at = strstr(at + 1, "__global__ void ")) {
    char name[64] = "";
    sscanf(at, "__global__ void %63[a-z_]", name);
    const char *params = strcmp(name, "pause_for") == 0 ? ".param .u32 microseconds" : "";
    to += sprintf(to, ".visible .entry %s(%s) { ret; }\n", name, params);
  }
  if (is_real) p->cubin = standin_make_cubin(p->result, atoi(target), &p->cubin_bytes);
  return 0;
}

API int nvrtcGetPTXSize(struct program *p, size_t *bytes) { return *bytes = strlen(p->result) + 1, 0; }
API int nvrtcGetPTX(struct program *p, char *text) { return strcpy(text, p->result), 0; }
API int nvrtcGetCUBINSize(struct program *p, size_t *bytes) { return *bytes = p->cubin_bytes, 0; }
API int nvrtcGetCUBIN(struct program *p, char *cubin) {
  if (p->cubin == NULL) return 3;
  return memcpy(cubin, p->cubin, p->cubin_bytes), 0;
}
API int nvrtcGetProgramLogSize(struct program *p, size_t *bytes) { return *bytes = strlen(p->log) + 1, 0; }
API int nvrtcGetProgramLog(struct program *p, char *text) { return strcpy(text, p->log), 0; }
