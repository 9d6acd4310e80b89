/*
 * An image that is several, to be linked where it is loaded (proto/README.md, "Images"). Knows the layout alone: what the inputs are is its
 * users' business.
 */
#ifndef SLUICE_LINK_IMAGE_H
#define SLUICE_LINK_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The numbers of CUjitInputType. */
enum { INPUT_CUBIN = 0, INPUT_PTX = 1, INPUT_FATBIN = 2, INPUT_OBJECT = 3, INPUT_LIBRARY = 4 };

#define LINK_INPUTS_MAX 4096

struct link_input {
    int kind;
    const void *data;
    size_t byte_count;
};

/* Bytes of the image; 0 when `code` is none. */
size_t link_image_bytes(const void *code);

/* Makes one image of inputs, in memory of malloc; NULL when it would be too large. */
void *link_image_make(const struct link_input *inputs, size_t count, size_t *byte_count);

/* Reads the next input of an image; `*at` begins at 0. False behind the last. */
bool link_image_next(const void *image, size_t *at, struct link_input *input);

#endif
