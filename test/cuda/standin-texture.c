/*
 * The stand-in's texture objects, over lines and rows of device memory, by the rules of the driver's manual. One kernel fetches through them: the
 * nearest texel, with coordinates kept inside.
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
  int device;
  struct resource resource;
  struct description description;
  struct texture *next;
};

enum { LINE = 2, ROWS = 3, ALIGNMENT = 512, PITCH_ALIGNMENT = 32 };

static struct texture *textures;
/* Beyond 32 bits, as nothing says that they are small. */
static uint64_t next_object = 0x100000001;

static unsigned number_bytes(int format) {
  switch (format) {
    case 1: case 8: return 1;
    case 2: case 9: case 16: return 2;
    case 3: case 10: case 32: return 4;
    default: return 0;
  }
}

static int texel_ok(int format, unsigned channels) {
  return number_bytes(format) != 0 && (channels == 1 || channels == 2 || channels == 4);
}

static int line_ok(const struct resource *r) {
  uint64_t texel = (uint64_t)number_bytes(r->of.line.format) * r->of.line.channels;
  return texel_ok(r->of.line.format, r->of.line.channels) && r->of.line.address % ALIGNMENT == 0 && r->of.line.bytes >= texel &&
         r->of.line.bytes / texel <= 134217728 && standin_range_ok(standin_current->device, r->of.line.address, r->of.line.bytes);
}

static int rows_ok(const struct resource *r) {
  uint64_t texel = (uint64_t)number_bytes(r->of.rows.format) * r->of.rows.channels, width = r->of.rows.width, height = r->of.rows.height;
  if (!texel_ok(r->of.rows.format, r->of.rows.channels) || width < 1 || width > 131072 || height < 1 || height > 65000) return 0;
  uint64_t pitch = r->of.rows.pitch;
  if (r->of.rows.address % ALIGNMENT != 0 || pitch % PITCH_ALIGNMENT != 0 || pitch < width * texel || pitch > 2097120) return 0;
  return standin_range_ok(standin_current->device, r->of.rows.address, (height - 1) * pitch + width * texel);
}

static int description_ok(const struct description *d, const struct resource *r) {
  for (int axis = 0; axis < 3; axis++)
    if (d->address_modes[axis] < 0 || d->address_modes[axis] > 3) return 0;
  if (d->filter < 0 || d->filter > 1 || (d->flags & ~0x33u) != 0) return 0;
  for (int i = 0; i < 12; i++)
    if (d->reserved[i] != 0) return 0;
  int format = r->of.rows.format, is_whole = format < 16 && ((d->flags & 1) != 0 || number_bytes(format) == 4);
  return !(is_whole && d->filter == 1);
}

API int cuTexObjectCreate(uint64_t *object, const struct resource *r, const struct description *d, const void *view) {
  ENTER();
  if (r->flags != 0 || view != NULL || !(r->type == LINE ? line_ok(r) : r->type == ROWS && rows_ok(r))) LEAVE(INVALID_VALUE);
  if (!description_ok(d, r)) LEAVE(INVALID_VALUE);
  struct texture *t = calloc(1, sizeof *t);
  t->object = next_object++;
  t->device = standin_current->device;
  t->resource = *r;
  t->description = *d;
  t->next = textures;
  textures = t;
  standin_alive.textures++;
  *object = t->object;
  LEAVE(SUCCESS);
}

API int cuTexObjectDestroy(uint64_t object) {
  /* Also in a failed context, as the tests look for leaks after faults. */
  BEGIN();
  for (struct texture **t = &textures; *t != NULL; t = &(*t)->next) {
    if ((*t)->object != object) continue;
    struct texture *gone = *t;
    *t = gone->next;
    free(gone);
    standin_alive.textures--;
    LEAVE(SUCCESS);
  }
  LEAVE(INVALID_VALUE);
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

int standin_fetch_texel(struct context *c, struct work *w) {
  uint64_t object = parameter(w, 0), x = parameter(w, 1), y = parameter(w, 2), out = parameter(w, 3);
  LOCK();
  struct texture *t = textures;
  while (t != NULL && !(t->object == object && t->device == c->device)) t = t->next;
  int result = t == NULL ? ILLEGAL_ADDRESS : SUCCESS;
  if (t != NULL) {
    const struct resource *r = &t->resource;
    unsigned bytes = number_bytes(r->of.rows.format), channels = r->of.rows.channels;
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
