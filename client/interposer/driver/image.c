/*
 * Program images: what kind one is, how long it is, and what of it a device can load. A CUDA device takes images as they are; the others
 * take PTX text, which is unpacked from fat binaries here.
 */
#include <stdlib.h>
#include <string.h>

#include "../core/fatbin.h"
#include "../core/link-image.h"
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

/* Whether a program was linked by nvcc from objects that are to be linked on the device: their containers follow in the wrapper. */
#define WRAPPER_BYTES 24

static bool is_prelinked(const void *code) {
    return fatbin_prelinked(code) != NULL && fatbin_prelinked(code)[0] != NULL;
}

size_t image_bytes(const void *code) {
    const uint8_t *fatbin = fatbin_of(code);
    if (is_prelinked(code)) return WRAPPER_BYTES;
    if (fatbin != NULL) return fatbin_bytes(fatbin);
    if (is_elf(code)) return elf_bytes(code);
    if (link_image_bytes(code) > 0) return link_image_bytes(code);
    unsigned char first = *(const unsigned char *)code;
    return first == '\t' || first == '\n' || first == '\r' || (first >= ' ' && first < 127) ? strlen(code) : 0;
}

const void *image_start(const void *code) {
    const uint8_t *fatbin = fatbin_of(code);
    return fatbin == NULL || is_prelinked(code) ? code : fatbin;
}

static unsigned capability_of(const struct device *device) {
    return (unsigned)(device->attributes[CU_ATTRIBUTE_CAPABILITY_MAJOR] * 10 + device->attributes[CU_ATTRIBUTE_CAPABILITY_MINOR]);
}

static CUresult choose_text(const uint8_t *fatbin, const struct device *device, struct image *image) {
    unsigned capability = capability_of(device);
    struct fatbin_choice choice = fatbin_choose(fatbin, capability);
    if (choice.text != NULL) {
        *image = (struct image){choice.text, choice.byte_count, choice.text};
        return CUDA_SUCCESS;
    }
    if (choice.is_broken) report("the program's fat binary cannot be unpacked. " REMEDY);
    else if (choice.newer == 0)
        report("the program's fat binary, or that of a library that it has loaded, has no PTX, which is all that a device of kind [%s] runs. " REMEDY
               " Without, its kernels need a device of kind [cuda].",
               device->kind);
    else report("the program's fat binary has PTX for compute capability %u.%u and newer alone, and the device stands for %u.%u. " REMEDY
                " Or have the server lend a device that stands for more: --device cpu,capability=%u.%u.",
                choice.newer / 10, choice.newer % 10, capability / 10, capability % 10, choice.newer / 10, choice.newer % 10);
    return CUDA_ERROR_NO_BINARY_FOR_GPU;
}

/* Inputs for a device that links PTX alone, each with a terminator; and what is to be freed of them. */
struct texts {
    struct link_input *inputs;
    size_t count;
};

static void drop_texts(struct texts *texts) {
    for (size_t i = 0; i < texts->count; i++) free((void *)(uintptr_t)texts->inputs[i].data);
    free(texts->inputs);
}

static CUresult add_text(struct texts *texts, const void *text, size_t bytes) {
    struct link_input *larger = realloc(texts->inputs, (texts->count + 1) * sizeof *larger);
    char *copy = larger == NULL ? NULL : malloc(bytes + 1);
    if (larger != NULL) texts->inputs = larger;
    if (copy == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
    memcpy(copy, text, bytes);
    copy[bytes] = '\0';
    larger[texts->count++] = (struct link_input){INPUT_PTX, copy, bytes};
    return CUDA_SUCCESS;
}

static CUresult add_input(struct texts *texts, const struct link_input *input, const struct device *device) {
    struct image text;
    if (input->kind == INPUT_PTX) return add_text(texts, input->data, input->byte_count);
    if (input->kind == INPUT_FATBIN) {
        CUresult result = choose_text(input->data, device, &text);
        if (result != CUDA_SUCCESS) return result;
        result = add_text(texts, text.data, text.byte_count);
        free(text.owned);
        return result;
    }
    if (input->kind == INPUT_LIBRARY) {
        /* The toolkit's own library of device code comes along with many programs that call nothing of it. */
        trace("a library of device code is not linked on a device of kind [%s]", device->kind);
        return CUDA_SUCCESS;
    }
    report("the linker is given binary code of a GPU, which a device of kind [%s] does not run. " REMEDY, device->kind);
    return CUDA_ERROR_NO_BINARY_FOR_GPU;
}

/* One image of texts; of a single one, the text. */
static CUresult join_texts(struct texts *texts, struct image *image) {
    if (texts->count == 1) {
        *image = (struct image){texts->inputs[0].data, texts->inputs[0].byte_count, (void *)(uintptr_t)texts->inputs[0].data};
        texts->count = 0;
        return CUDA_SUCCESS;
    }
    size_t bytes;
    void *made = texts->count == 0 ? NULL : link_image_make(texts->inputs, texts->count, &bytes);
    if (made == NULL) return texts->count == 0 ? CUDA_ERROR_INVALID_IMAGE : CUDA_ERROR_OUT_OF_MEMORY;
    *image = (struct image){made, bytes, made};
    return CUDA_SUCCESS;
}

static CUresult link_as_text(const void *code, const struct device *device, struct image *image) {
    struct texts texts = {0};
    struct link_input input;
    CUresult result = CUDA_SUCCESS;
    for (size_t at = 0; result == CUDA_SUCCESS && link_image_next(code, &at, &input);) result = add_input(&texts, &input, device);
    if (result == CUDA_SUCCESS) result = join_texts(&texts, image);
    drop_texts(&texts);
    return result;
}

/* The containers of a prelinked program: as they are for a CUDA device, as texts for the others, where those without any are left out. */
static CUresult link_prelinked(const void *code, const struct device *device, bool is_cuda, struct image *image) {
    const void *const *list = fatbin_prelinked(code);
    unsigned capability = capability_of(device);
    struct texts texts = {0};
    static __thread struct link_input inputs[LINK_INPUTS_MAX];
    size_t count = 0, bytes;
    CUresult result = CUDA_SUCCESS;
    for (; list[count] != NULL && count < LINK_INPUTS_MAX && result == CUDA_SUCCESS; count++) {
        inputs[count] = (struct link_input){INPUT_FATBIN, list[count], fatbin_bytes(list[count])};
        struct fatbin_choice choice = is_cuda ? (struct fatbin_choice){0} : fatbin_choose(list[count], capability);
        if (choice.text != NULL) result = add_text(&texts, choice.text, choice.byte_count);
        free(choice.text);
    }
    if (is_cuda) {
        void *made = link_image_make(inputs, count, &bytes);
        if (made == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
        *image = (struct image){made, bytes, made};
        return CUDA_SUCCESS;
    }
    if (result == CUDA_SUCCESS && texts.count == 0) {
        report("the program's parts have no PTX, which is all that a device of kind [%s] runs. " REMEDY, device->kind);
        result = CUDA_ERROR_NO_BINARY_FOR_GPU;
    }
    if (result == CUDA_SUCCESS) result = join_texts(&texts, image);
    drop_texts(&texts);
    return result;
}

CUresult image_for(const void *code, const struct device *device, struct image *image) {
    size_t bytes = image_bytes(code);
    const uint8_t *fatbin = fatbin_of(code);
    if (bytes == 0) return CUDA_ERROR_INVALID_IMAGE;
    if (bytes > SLUICE_IMAGE_BYTES_MAX) return CUDA_ERROR_OUT_OF_MEMORY;
    bool is_cuda = strcmp(device->kind, "cuda") == 0;
    if (is_prelinked(code) && (!is_cuda || fatbin == NULL || fatbin_is_empty(fatbin))) {
        CUresult result = link_prelinked(code, device, is_cuda, image);
        return result == CUDA_SUCCESS && image->byte_count > SLUICE_IMAGE_BYTES_MAX ? CUDA_ERROR_OUT_OF_MEMORY : result;
    }
    if (is_prelinked(code)) bytes = fatbin_bytes(fatbin);
    if (fatbin != NULL && !is_cuda) return choose_text(fatbin, device, image);
    if (link_image_bytes(code) > 0 && !is_cuda) return link_as_text(code, device, image);
    if (is_elf(code) && !is_cuda) {
        report("the program's image is binary code of a GPU, which a device of kind [%s] does not run. " REMEDY, device->kind);
        return CUDA_ERROR_NO_BINARY_FOR_GPU;
    }
    /* Large libraries have code for every generation of devices, of which one is sent. */
    void *cut = fatbin == NULL ? NULL : fatbin_cut(fatbin, capability_of(device), &bytes);
    trace("an image of [%zu] bytes is loaded", bytes);
    *image = (struct image){cut != NULL ? cut : fatbin != NULL ? fatbin : code, bytes, cut};
    return CUDA_SUCCESS;
}
