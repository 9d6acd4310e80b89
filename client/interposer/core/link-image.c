/* Images that are several; see link-image.h. Only this process writes what is read here. */
#include "link-image.h"

#include <stdlib.h>
#include <string.h>

#define HEADER_BYTES 16
#define INPUT_HEADER_BYTES 8

static const char magic[8] = {'S', 'L', 'U', 'I', 'C', 'E', 'L', 'K'};

static size_t padded(size_t bytes) {
    return (bytes + 7) & ~(size_t)7;
}

static uint32_t get_u32(const uint8_t *at) {
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static void put_u32(uint8_t *at, size_t value) {
    uint32_t word = (uint32_t)value;
    memcpy(at, &word, sizeof word);
}

size_t link_image_bytes(const void *code) {
    return strncmp(code, magic, sizeof magic) == 0 ? get_u32((const uint8_t *)code + 8) : 0;
}

void *link_image_make(const struct link_input *inputs, size_t count, size_t *byte_count) {
    size_t bytes = HEADER_BYTES;
    for (size_t i = 0; i < count; i++) {
        if (inputs[i].byte_count > UINT32_MAX / 2) return NULL;
        bytes += INPUT_HEADER_BYTES + padded(inputs[i].byte_count);
        if (bytes > UINT32_MAX / 2) return NULL;
    }
    uint8_t *image = calloc(1, bytes + 8), *at = image + HEADER_BYTES;
    if (image == NULL) return NULL;
    memcpy(image, magic, sizeof magic);
    put_u32(image + 8, bytes);
    put_u32(image + 12, count);
    for (size_t i = 0; i < count; i++) {
        put_u32(at, (size_t)inputs[i].kind);
        put_u32(at + 4, inputs[i].byte_count);
        memcpy(at + INPUT_HEADER_BYTES, inputs[i].data, inputs[i].byte_count);
        at += INPUT_HEADER_BYTES + padded(inputs[i].byte_count);
    }
    *byte_count = bytes;
    return image;
}

bool link_image_next(const void *image, size_t *at, struct link_input *input) {
    const uint8_t *bytes = image;
    if (*at == 0) *at = HEADER_BYTES;
    if (*at >= get_u32(bytes + 8)) return false;
    *input = (struct link_input){(int)get_u32(bytes + *at), bytes + *at + INPUT_HEADER_BYTES, get_u32(bytes + *at + 4)};
    *at += INPUT_HEADER_BYTES + padded(input->byte_count);
    return true;
}
