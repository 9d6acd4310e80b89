/*
 * The container that nvcc puts device code in: a wrapper with a pointer, a header, and entries of PTX or of binary code, each maybe
 * compressed. Reads only; every length is checked against its surroundings, since the container comes from the program.
 */
#ifndef SLUICE_FATBIN_H
#define SLUICE_FATBIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The container that `code` points to, itself or through a wrapper; NULL when it is neither. */
const uint8_t *fatbin_of(const void *code);

/* The containers that `code`, a wrapper of the linker, names to be linked at run time: an array that ends with NULL; NULL where it is none. */
const void *const *fatbin_prelinked(const void *code);

/* Whether a container holds nothing. */
bool fatbin_is_empty(const uint8_t *fatbin);

/* Bytes of a container, its header included. */
size_t fatbin_bytes(const uint8_t *fatbin);

struct fatbin_choice {
    char *text; /* PTX, with a terminator, in memory of malloc; NULL when there is none that fits. */
    size_t byte_count;
    unsigned newer; /* The lowest architecture above `capability` that there is PTX for; 0 when there is none. */
    bool is_broken; /* PTX was there and could not be unpacked. */
};

/* The PTX for the highest architecture up to `capability` (major * 10 + minor). */
struct fatbin_choice fatbin_choose(const uint8_t *fatbin, unsigned capability);

/*
 * A container without what no device of `capability` loads: binary code for another major version, and PTX for a newer one. In memory of malloc, its size in
 * `bytes`; NULL when everything or nothing would go, or there is no memory for it: then the container is to be taken as it is.
 */
uint8_t *fatbin_cut(const uint8_t *fatbin, unsigned capability, size_t *bytes);

/* Unpack into exactly `into_bytes`; false when the data is malformed or does not fill them. */
bool lz4_unpack(const uint8_t *from, size_t from_bytes, uint8_t *into, size_t into_bytes);
bool zstd_unpack(const uint8_t *from, size_t from_bytes, uint8_t *into, size_t into_bytes);

#endif
