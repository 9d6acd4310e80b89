/*
 * The stand-in's arrays, by the rules of the driver's manual: what may be made, what one takes of its device, and copies between one and memory. They
 * lie in memory of their own, so that whoever takes an array for memory of the arena is found out.
 */
#define _GNU_SOURCE
#include "standin.h"

#include <stdlib.h>
#include <string.h>

enum { LAYERED = 1, SURFACE = 2, CUBE = 4, GATHER = 8, DEFERRED = 0x80 };
enum { DEVICE_MEMORY = 2, ARRAY_MEMORY = 3 };

struct descriptor {
  uint64_t width, height, depth;
  int format;
  unsigned channels, flags;
};

struct array {
  struct descriptor shape;
  int device, is_level;
  unsigned texel;
  unsigned char *texels;
  uint64_t taken;
  struct array *next;
};

struct mipmapped {
  struct descriptor shape;
  int device;
  unsigned count;
  uint64_t taken;
  struct array *levels[32];
  struct mipmapped *next;
};

static struct array *arrays;
static struct mipmapped *mipmappeds;

static int known_array(const struct array *array) {
  const struct array *a = arrays;
  while (a != NULL && a != array) a = a->next;
  return a != NULL;
}

static int known_mipmapped(const struct mipmapped *mipmapped) {
  const struct mipmapped *m = mipmappeds;
  while (m != NULL && m != mipmapped) m = m->next;
  return m != NULL;
}

static unsigned texel_of(const struct descriptor *d) {
  if (d->channels != 1 && d->channels != 2 && d->channels != 4) return 0;
  /* Numbers that stand for parts of their largest, each format with its own count of channels. */
  if (d->format >= 0xc0 && d->format < 0xcc)
    return d->channels == 1u << (d->format - 0xc0) % 3 ? ((d->format - 0xc0) / 3 % 2 + 1) * d->channels : 0;
  return standin_number_bytes(d->format) * d->channels;
}

static int at_most(uint64_t size, uint64_t most) { return size >= 1 && size <= most; }

/* The sizes of the manual's table, as a card of the capability 9.0 has them. */
static int shape_ok(const struct descriptor *d) {
  int is_surface = (d->flags & SURFACE) != 0, is_layered = (d->flags & LAYERED) != 0;
  if (texel_of(d) == 0 || (d->flags & ~(unsigned)(LAYERED | SURFACE | CUBE | GATHER | DEFERRED)) != 0) return 0;
  if ((d->flags & GATHER) && (is_layered || (d->flags & CUBE) || d->depth != 0 || !at_most(d->height, 32768) || d->width > 32768)) return 0;
  if (d->flags & CUBE) {
    if (!at_most(d->width, 32768) || d->height != d->width) return 0;
    return is_layered ? d->depth % 6 == 0 && at_most(d->depth, 2046) : d->depth == 6;
  }
  if (is_layered) return at_most(d->width, 32768) && d->height <= 32768 && at_most(d->depth, 2048);
  if (d->depth > 0) return at_most(d->width, 16384) && at_most(d->height, 16384) && d->depth <= 16384;
  if (d->height == 0) return at_most(d->width, is_surface ? 32768 : 131072);
  return at_most(d->width, 131072) && d->height <= 65536;
}

/* Rows and planes are padded to tiles. */
static uint64_t bytes_of(const struct descriptor *d) {
  uint64_t row = (d->width * texel_of(d) + 63) / 64 * 64, rows = d->height == 0 ? 1 : (d->height + 7) / 8 * 8;
  return (row * rows * (d->depth == 0 ? 1 : d->depth) + 511) / 512 * 512;
}

static uint64_t rows_of(const struct array *a) { return a->shape.height == 0 ? 1 : a->shape.height; }
static uint64_t planes_of(const struct array *a) { return a->shape.depth == 0 ? 1 : a->shape.depth; }

static struct array *make(const struct descriptor *d) {
  struct array *a = calloc(1, sizeof *a);
  a->shape = *d;
  a->device = standin_current->device;
  a->texel = texel_of(d);
  if ((d->flags & DEFERRED) == 0) {
    size_t bytes = a->texel * d->width * rows_of(a) * planes_of(a);
    a->texels = malloc(bytes);
    memset(a->texels, 0xdb, bytes);
  }
  a->next = arrays;
  return arrays = a;
}

static void end(struct array *array) {
  for (struct array **a = &arrays; *a != NULL; a = &(*a)->next)
    if (*a == array) {
      *a = array->next;
      break;
    }
  if (standin_is_image_over(array)) standin_violation("an array destroyed while a texture or a surface is over it");
  free(array->texels);
  free(array);
}

static void check_idle(int device) {
  struct context *c = standin_contexts[device];
  if (c != NULL && c->error == SUCCESS && standin_busy(c)) standin_violation("an array destroyed while work is under way");
}

API int cuArray3DCreate_v2(struct array **array, const struct descriptor *d) {
  ENTER();
  if (!shape_ok(d)) LEAVE(INVALID_VALUE);
  uint64_t bytes = d->flags & DEFERRED ? 0 : bytes_of(d);
  if (!standin_take(standin_current->device, (int64_t)bytes)) LEAVE(OUT_OF_MEMORY);
  *array = make(d);
  (*array)->taken = bytes;
  standin_alive.arrays++;
  LEAVE(SUCCESS);
}

API int cuArrayDestroy(struct array *array) {
  /* Also in a failed context, as the tests look for leaks after faults. */
  BEGIN();
  if (!known_array(array) || array->is_level) LEAVE(INVALID_HANDLE);
  if (array->texels != NULL) check_idle(array->device);
  standin_take(array->device, -(int64_t)array->taken);
  end(array);
  standin_alive.arrays--;
  LEAVE(SUCCESS);
}

struct requirements {
  uint64_t bytes, alignment;
  unsigned reserved[4];
};

API int cuArrayGetMemoryRequirements(struct requirements *r, struct array *array, int device) {
  ENTER();
  if (!known_array(array)) LEAVE(INVALID_HANDLE);
  if ((array->shape.flags & DEFERRED) == 0 || device != array->device) LEAVE(INVALID_VALUE);
  *r = (struct requirements){.bytes = bytes_of(&array->shape), .alignment = 512};
  LEAVE(SUCCESS);
}

static uint64_t half(uint64_t size) { return size <= 1 ? size : size / 2; }

static int has_layers(const struct descriptor *d) { return (d->flags & (LAYERED | CUBE)) != 0; }

static uint64_t bytes_of_levels(struct descriptor level, unsigned count) {
  uint64_t bytes = 0;
  for (; count > 0; count--) {
    bytes += bytes_of(&level);
    level.width = half(level.width), level.height = half(level.height);
    if (!has_layers(&level)) level.depth = half(level.depth);
  }
  return bytes;
}

API int cuMipmappedArrayCreate(struct mipmapped **mipmapped, const struct descriptor *d, unsigned levels) {
  ENTER();
  if (!shape_ok(d)) LEAVE(INVALID_VALUE);
  uint64_t largest = d->width > d->height ? d->width : d->height;
  if (!has_layers(d) && d->depth > largest) largest = d->depth;
  unsigned most = 1;
  while (largest > 1) largest /= 2, most++;
  if (levels < 1) levels = 1;
  if (levels > most) levels = most;
  uint64_t bytes = d->flags & DEFERRED ? 0 : bytes_of_levels(*d, levels);
  if (!standin_take(standin_current->device, (int64_t)bytes)) LEAVE(OUT_OF_MEMORY);
  struct mipmapped *m = calloc(1, sizeof *m);
  *m = (struct mipmapped){.shape = *d, .device = standin_current->device, .count = levels, .taken = bytes, .next = mipmappeds};
  mipmappeds = m;
  struct descriptor level = *d;
  for (unsigned i = 0; i < levels; i++) {
    m->levels[i] = make(&level);
    m->levels[i]->is_level = 1;
    level.width = half(level.width), level.height = half(level.height);
    if (!has_layers(d)) level.depth = half(level.depth);
  }
  standin_alive.arrays++;
  *mipmapped = m;
  LEAVE(SUCCESS);
}

API int cuMipmappedArrayGetLevel(struct array **level, struct mipmapped *mipmapped, unsigned number) {
  ENTER();
  if (!known_mipmapped(mipmapped)) LEAVE(INVALID_HANDLE);
  if (number >= mipmapped->count) LEAVE(INVALID_VALUE);
  *level = mipmapped->levels[number];
  LEAVE(SUCCESS);
}

API int cuMipmappedArrayGetMemoryRequirements(struct requirements *r, struct mipmapped *mipmapped, int device) {
  ENTER();
  if (!known_mipmapped(mipmapped)) LEAVE(INVALID_HANDLE);
  if ((mipmapped->shape.flags & DEFERRED) == 0 || device != mipmapped->device) LEAVE(INVALID_VALUE);
  *r = (struct requirements){.bytes = bytes_of_levels(mipmapped->shape, mipmapped->count), .alignment = 512};
  LEAVE(SUCCESS);
}

API int cuMipmappedArrayDestroy(struct mipmapped *mipmapped) {
  BEGIN();
  if (!known_mipmapped(mipmapped)) LEAVE(INVALID_HANDLE);
  if ((mipmapped->shape.flags & DEFERRED) == 0) check_idle(mipmapped->device);
  if (standin_is_image_over(mipmapped)) standin_violation("an array destroyed while a texture is over it");
  for (struct mipmapped **m = &mipmappeds; *m != NULL; m = &(*m)->next)
    if (*m == mipmapped) {
      *m = mipmapped->next;
      break;
    }
  for (unsigned i = 0; i < mipmapped->count; i++) end(mipmapped->levels[i]);
  standin_take(mipmapped->device, -(int64_t)mipmapped->taken);
  free(mipmapped);
  standin_alive.arrays--;
  LEAVE(SUCCESS);
}

void standin_forget_arrays(void) {
  while (mipmappeds != NULL) standin_take(mipmappeds->device, -(int64_t)mipmappeds->taken), mipmappeds = mipmappeds->next;
  for (; arrays != NULL; arrays = arrays->next) standin_take(arrays->device, -(int64_t)arrays->taken);
}

/* One end of a CUDA_MEMCPY3D, and its size behind both. */
struct end {
  uint64_t x, y, z, level;
  int type;
  uint64_t host, device;
  struct array *array;
  void *reserved;
  uint64_t pitch, height;
};

struct box {
  struct end from, to;
  uint64_t width, height, depth;
};

static int memory_ok(const struct end *e, const struct box *b) {
  if (e->type != DEVICE_MEMORY || e->level != 0 || e->reserved != NULL || e->pitch < b->width + e->x || e->pitch > 2147483647) return 0;
  if (b->depth > 1 && e->height < b->height + e->y) return 0;
  uint64_t rows = (e->z + b->depth - 1) * e->height + e->y + b->height - 1;
  return standin_range_ok(standin_current->device, e->device, rows * e->pitch + e->x + b->width);
}

static int array_ok(const struct end *e, const struct box *b) {
  const struct array *a = e->array;
  if (e->type != ARRAY_MEMORY || e->level != 0 || e->reserved != NULL || !known_array(a) || a->texels == NULL) return 0;
  if (a->device != standin_current->device || e->x % a->texel != 0 || b->width % a->texel != 0) return 0;
  return e->x + b->width <= a->shape.width * a->texel && e->y + b->height <= rows_of(a) && e->z + b->depth <= planes_of(a);
}

API int cuMemcpy3DAsync_v2(const struct box *box, struct stream *stream) {
  ENTER();
  if (box->width == 0 || box->height == 0 || box->depth == 0) LEAVE(INVALID_VALUE);
  int is_into = box->to.type == ARRAY_MEMORY;
  if (!memory_ok(is_into ? &box->from : &box->to, box) || !array_ok(is_into ? &box->to : &box->from, box)) LEAVE(INVALID_VALUE);
  struct box *kept = malloc(sizeof *kept);
  *kept = *box;
  LEAVE(standin_queue(standin_current, stream, &(struct work){.kind = ARRAY_COPY, .source = (uint64_t)kept}));
}

static unsigned char *row_of(const struct end *e, uint64_t y, uint64_t z) {
  if (e->type == DEVICE_MEMORY) return (unsigned char *)e->device + ((e->z + z) * e->height + e->y + y) * e->pitch + e->x;
  return e->array->texels + (((e->z + z) * rows_of(e->array) + e->y + y) * e->array->shape.width) * e->array->texel + e->x;
}

void standin_copy_array(struct work *w) {
  struct box *b = (struct box *)w->source;
  for (uint64_t z = 0; z < b->depth; z++)
    for (uint64_t y = 0; y < b->height; y++) memcpy(row_of(&b->to, y, z), row_of(&b->from, y, z), b->width);
  free(b);
}

/* A texel of an array that a texture or a surface is over, or NULL. */
unsigned char *standin_texel(const struct array *a, uint64_t x, uint64_t y, uint64_t z, unsigned *bytes) {
  if (!known_array(a) || x >= a->shape.width || y >= rows_of(a) || z >= planes_of(a)) return NULL;
  *bytes = a->texel;
  return a->texels + ((z * rows_of(a) + y) * a->shape.width + x) * a->texel;
}

int standin_array_ok(const struct array *a, int is_surface) {
  return known_array(a) && a->texels != NULL && a->device == standin_current->device && (!is_surface || (a->shape.flags & SURFACE) != 0);
}

unsigned standin_array_number_bytes(const struct array *a) { return a->texel / a->shape.channels; }
int standin_array_format(const struct array *a) { return a->shape.format; }
int standin_array_is_cube(const struct array *a) { return (a->shape.flags & CUBE) != 0; }

/* A level of a mipmapped array; NULL for what is none. */
struct array *standin_level(const struct mipmapped *m, uint64_t level) {
  return known_mipmapped(m) && m->device == standin_current->device && level < m->count ? m->levels[level] : NULL;
}
