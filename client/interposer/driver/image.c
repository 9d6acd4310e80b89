/*
 * Program images: what kind one is, how long it is, and what of it a device can load. A CUDA device takes images as they are; the others
 * take PTX text, which is unpacked from fat binaries here.
 */
#include <stdlib.h>
#include <string.h>

#include "../core/fatbin.h"
#include "driver.h"

#define REMEDY "Build the program with PTX in it: nvcc -gencode arch=compute_75,code=compute_75."

static size_t elf_bytes(const uint8_t *elf) {
    uint64_t sections, segments;
    uint16_t sizes[4]; /* Of a program header and their number, of a section header and their number. */
    memcpy(&segments, elf + 32, 8);
    memcpy(&sections, elf + 40, 8);
    memcpy(sizes, elf + 54, 8);
    uint64_t end = sections + (uint64_t)sizes[2] * sizes[3];
    uint64_t other = segments + (uint64_t)sizes[0] * sizes[1];
    return end > other ? end : other;
}

static bool is_elf(const void *code) {
    return memcmp(code, "\177ELF", 4) == 0;
}

size_t image_bytes(const void *code) {
    const uint8_t *fatbin = fatbin_of(code);
    if (fatbin != NULL) return fatbin_bytes(fatbin);
    if (is_elf(code)) return elf_bytes(code);
    unsigned char first = *(const unsigned char *)code;
    return first == '\t' || first == '\n' || first == '\r' || (first >= ' ' && first < 127) ? strlen(code) : 0;
}

static CUresult choose_text(const uint8_t *fatbin, const struct device *device, struct image *image) {
    unsigned capability =
        (unsigned)(device->attributes[CU_ATTRIBUTE_CAPABILITY_MAJOR] * 10 + device->attributes[CU_ATTRIBUTE_CAPABILITY_MINOR]);
    struct fatbin_choice choice = fatbin_choose(fatbin, capability);
    if (choice.text != NULL) {
        *image = (struct image){choice.text, choice.byte_count, choice.text};
        return CUDA_SUCCESS;
    }
    if (choice.is_broken) report("the program's fat binary cannot be unpacked. " REMEDY);
    else report("the program's fat binary has no PTX for compute capability %u.%u, which is all that a device of kind [%s] runs. " REMEDY,
                capability / 10, capability % 10, device->kind);
    return CUDA_ERROR_NO_BINARY_FOR_GPU;
}

CUresult image_for(const void *code, const struct device *device, struct image *image) {
    size_t bytes = image_bytes(code);
    const uint8_t *fatbin = fatbin_of(code);
    if (bytes == 0) return CUDA_ERROR_INVALID_IMAGE;
    if (bytes > SLUICE_IMAGE_BYTES_MAX) return CUDA_ERROR_OUT_OF_MEMORY;
    bool is_cuda = strcmp(device->kind, "cuda") == 0;
    if (fatbin != NULL && !is_cuda) return choose_text(fatbin, device, image);
    if (is_elf(code) && !is_cuda) {
        report("the program's image is binary code of a GPU, which a device of kind [%s] does not run. " REMEDY, device->kind);
        return CUDA_ERROR_NO_BINARY_FOR_GPU;
    }
    *image = (struct image){fatbin != NULL ? fatbin : code, bytes, NULL};
    return CUDA_SUCCESS;
}
