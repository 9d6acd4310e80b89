/*
 * The stand-in's textures and surfaces, over lines and rows of device memory and over arrays, by the rules of the driver's manual. Kernels fetch
 * through them: the nearest texel, with coordinates kept inside where it is in memory.
 */
#define _GNU_SOURCE
#include "standin.h"

#include <stdlib.h>
#include <string.h>

struct resource {
  int type;
  union {
    struct {
      uint64_t address;
      int format;
      unsigned channels;
      uint64_t bytes;
    } line;
    struct {
      uint64_t address;
      int format;
      unsigned channels;
      uint64_t width, height, pitch;
    } rows;
    struct array *array;
    struct mipmapped *mipmapped;
    int reserved[32];
  } of;
  unsigned flags;
};

struct description {
  int address_modes[3], filter;
  unsigned flags, anisotropy;
  int mipmap_filter;
  float bias, least, most, border[4];
  int reserved[12];
};

struct texture {
  uint64_t object;
  int device, is_surface;
  struct resource resource;
  struct description description;
  struct texture *next;
};

enum { ARRAY = 0, LEVELS = 1, LINE = 2, ROWS = 3, ALIGNMENT = 512, PITCH_ALIGNMENT = 32 };

static struct texture *textures;
/* Beyond 32 bits, as nothing says that they are small. */
static uint64_t next_object = 0x100000001;

unsigned standin_number_bytes(int format) {
  switch (format) {
    case 1: case 8: return 1;
    case 2: case 9: case 16: return 2;
    case 3: case 10: case 32: return 4;
    default: return 0;
  }
}

static int texel_ok(int format, unsigned channels) {
  return standin_number_bytes(format) != 0 && (channels == 1 || channels == 2 || channels == 4);
}

static int line_ok(const struct resource *r) {
  uint64_t texel = (uint64_t)standin_number_bytes(r->of.line.format) * r->of.line.channels;
  return texel_ok(r->of.line.format, r->of.line.channels) && r->of.line.address % ALIGNMENT == 0 && r->of.line.bytes >= texel &&
         r->of.line.bytes / texel <= 134217728 && standin_range_ok(standin_current->device, r->of.line.address, r->of.line.bytes);
}

static int rows_ok(const struct resource *r) {
  uint64_t texel = (uint64_t)standin_number_bytes(r->of.rows.format) * r->of.rows.channels, width = r->of.rows.width, height = r->of.rows.height;
  if (!texel_ok(r->of.rows.format, r->of.rows.channels) || width < 1 || width > 131072 || height < 1 || height > 65000) return 0;
  uint64_t pitch = r->of.rows.pitch;
  if (r->of.rows.address % ALIGNMENT != 0 || pitch % PITCH_ALIGNMENT != 0 || pitch < width * texel || pitch > 2097120) return 0;
  return standin_range_ok(standin_current->device, r->of.rows.address, (height - 1) * pitch + width * texel);
}

static int description_ok(const struct description *d, const struct resource *r) {
  for (int axis = 0; axis < 3; axis++)
    if (d->address_modes[axis] < 0 || d->address_modes[axis] > 3) return 0;
  if (d->filter < 0 || d->filter > 1 || d->mipmap_filter < 0 || d->mipmap_filter > 1 || (d->flags & ~0x73u) != 0) return 0;
  for (int i = 0; i < 12; i++)
    if (d->reserved[i] != 0) return 0;
  const struct array *first = r->type == ARRAY ? r->of.array : r->type == LEVELS ? standin_level(r->of.mipmapped, 0) : NULL;
  /* Several levels are read by coordinates from 0 to 1, and only cubes have edges. */
  if (r->type == LEVELS && (d->flags & 2) == 0) return 0;
  if ((d->flags & 0x40) != 0 && (first == NULL || !standin_array_is_cube(first))) return 0;
  int format = first == NULL ? r->of.rows.format : standin_array_format(first);
  int is_whole = format < 16 && ((d->flags & 1) != 0 || standin_number_bytes(format) == 4);
  return !(is_whole && d->filter == 1);
}

static int resource_ok(const struct resource *r) {
  if (r->flags != 0) return 0;
  switch (r->type) {
    case ARRAY: return standin_array_ok(r->of.array, 0);
    case LEVELS: return standin_level(r->of.mipmapped, 0) != NULL && standin_array_ok(standin_level(r->of.mipmapped, 0), 0);
    case LINE: return line_ok(r);
    case ROWS: return rows_ok(r);
    default: return 0;
  }
}

static uint64_t add(const struct resource *r, const struct description *d) {
  struct texture *t = calloc(1, sizeof *t);
  t->object = next_object++;
  t->device = standin_current->device;
  t->is_surface = d == NULL;
  t->resource = *r;
  if (d != NULL) t->description = *d;
  t->next = textures;
  textures = t;
  standin_alive.textures++;
  return t->object;
}

static int drop(uint64_t object, int is_surface) {
  for (struct texture **t = &textures; *t != NULL; t = &(*t)->next) {
    if ((*t)->object != object || (*t)->is_surface != is_surface) continue;
    struct texture *gone = *t;
    *t = gone->next;
    free(gone);
    standin_alive.textures--;
    return SUCCESS;
  }
  return INVALID_VALUE;
}

int standin_is_image_over(const void *array) {
  for (const struct texture *t = textures; t != NULL; t = t->next)
    if (t->resource.type <= LEVELS && t->resource.of.array == array) return 1;
  return 0;
}

API int cuTexObjectCreate(uint64_t *object, const struct resource *r, const struct description *d, const void *view) {
  ENTER();
  if (view != NULL || !resource_ok(r) || !description_ok(d, r)) LEAVE(INVALID_VALUE);
  *object = add(r, d);
  LEAVE(SUCCESS);
}

API int cuSurfObjectCreate(uint64_t *object, const struct resource *r) {
  ENTER();
  if (r->type != ARRAY || r->flags != 0 || !standin_array_ok(r->of.array, 1)) LEAVE(INVALID_VALUE);
  *object = add(r, NULL);
  LEAVE(SUCCESS);
}

/* Both also in a failed context, as the tests look for leaks after faults. */
API int cuTexObjectDestroy(uint64_t object) {
  BEGIN();
  LEAVE(drop(object, 0));
}

API int cuSurfObjectDestroy(uint64_t object) {
  BEGIN();
  LEAVE(drop(object, 1));
}

void standin_forget_textures(void) {
  while (textures != NULL) {
    struct texture *gone = textures;
    textures = gone->next;
    free(gone);
  }
}

static uint64_t parameter(struct work *w, int index) {
  uint64_t value = 0;
  memcpy(&value, w->params + w->function->param_offset[index], w->function->param_size[index]);
  return value;
}

static struct texture *find(const struct context *c, uint64_t object, int is_surface) {
  struct texture *t = textures;
  while (t != NULL && !(t->object == object && t->device == c->device && t->is_surface == is_surface)) t = t->next;
  return t;
}

/* fetch_at(u64 texture, u32 x, u32 y, u32 z, u32 level, u64 out), of arrays: four words of a texel. */
int standin_fetch_at(struct context *c, struct work *w) {
  uint64_t out = parameter(w, 5), level = parameter(w, 4);
  unsigned bytes = 0;
  LOCK();
  const struct texture *t = find(c, parameter(w, 0), 0);
  const struct array *a = t == NULL ? NULL : t->resource.type == ARRAY && level == 0 ? t->resource.of.array : NULL;
  if (t != NULL && t->resource.type == LEVELS) {
    struct context *before = standin_current;
    standin_current = c;
    a = standin_level(t->resource.of.mipmapped, level);
    standin_current = before;
  }
  unsigned char *texel = a == NULL ? NULL : standin_texel(a, parameter(w, 1), parameter(w, 2), parameter(w, 3), &bytes);
  int result = texel == NULL || !standin_range_ok(c->device, out, 16) ? ILLEGAL_ADDRESS : SUCCESS;
  uint32_t words[4] = {0};
  unsigned each = a == NULL ? 1 : standin_array_number_bytes(a);
  for (unsigned i = 0; result == SUCCESS && i < bytes / each; i++) memcpy(&words[i], texel + i * each, each);
  if (result == SUCCESS) memcpy((void *)out, words, sizeof words);
  UNLOCK();
  return result;
}

/* store_texel(u64 surface, u32 x, u32 y, u32 z, u32 value): every number of a texel. */
int standin_store_texel(struct context *c, struct work *w) {
  uint32_t value = (uint32_t)parameter(w, 4);
  unsigned bytes = 0;
  LOCK();
  const struct texture *t = find(c, parameter(w, 0), 1);
  unsigned char *texel = t == NULL ? NULL : standin_texel(t->resource.of.array, parameter(w, 1), parameter(w, 2), parameter(w, 3), &bytes);
  unsigned each = texel == NULL ? 1 : standin_array_number_bytes(t->resource.of.array);
  for (unsigned i = 0; texel != NULL && i < bytes; i += each) memcpy(texel + i, &value, each);
  UNLOCK();
  return texel == NULL ? ILLEGAL_ADDRESS : SUCCESS;
}

int standin_fetch_texel(struct context *c, struct work *w) {
  uint64_t object = parameter(w, 0), x = parameter(w, 1), y = parameter(w, 2), out = parameter(w, 3);
  LOCK();
  struct texture *t = find(c, object, 0);
  if (t != NULL && t->resource.type == ARRAY) {
    unsigned bytes = 0, each = standin_array_number_bytes(t->resource.of.array);
    unsigned char *texel = standin_texel(t->resource.of.array, x, y, 0, &bytes);
    uint32_t words[4] = {0};
    for (unsigned i = 0; i < bytes / each; i++) memcpy(&words[i], texel + i * each, each);
    int ok = texel != NULL && standin_range_ok(c->device, out, sizeof words);
    if (ok) memcpy((void *)out, words, sizeof words);
    UNLOCK();
    return ok ? SUCCESS : ILLEGAL_ADDRESS;
  }
  int result = t == NULL ? ILLEGAL_ADDRESS : SUCCESS;
  if (t != NULL) {
    const struct resource *r = &t->resource;
    unsigned bytes = standin_number_bytes(r->of.rows.format), channels = r->of.rows.channels;
    uint64_t width = r->type == LINE ? r->of.line.bytes / bytes / channels : r->of.rows.width, height = r->type == LINE ? 1 : r->of.rows.height;
    if (x >= width) x = width - 1;
    if (y >= height) y = height - 1;
    uint64_t from = r->of.rows.address + (r->type == LINE ? 0 : y * r->of.rows.pitch) + x * bytes * channels;
    uint32_t words[4] = {0};
    /* What the texture is over may have been given back since. */
    if (!standin_range_ok(c->device, from, bytes * channels) || !standin_range_ok(c->device, out, sizeof words)) result = ILLEGAL_ADDRESS;
    for (unsigned i = 0; result == SUCCESS && i < channels; i++) memcpy(&words[i], (char *)from + i * bytes, bytes);
    if (result == SUCCESS) memcpy((void *)out, words, sizeof words);
  }
  UNLOCK();
  return result;
}
