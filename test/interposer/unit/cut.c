/* Containers of device code, cut to what a device loads. Each argument is an entry, KIND:ARCHITECTURE:BYTES; then the same, damaged. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../../client/interposer/core/fatbin.h"

enum { HEADER = 16, ENTRY = 64 };

static size_t add(uint8_t *at, unsigned kind, unsigned architecture, uint64_t bytes) {
    uint32_t header_bytes = ENTRY;
    memset(at, 0, ENTRY);
    at[0] = (uint8_t)kind;
    memcpy(at + 4, &header_bytes, 4);
    memcpy(at + 8, &bytes, 8);
    memcpy(at + 28, &architecture, 4);
    memset(at + ENTRY, (int)architecture, bytes);
    return ENTRY + bytes;
}

/* Its entries, and whether the bytes of each are its own. */
static void print(const uint8_t *fatbin, size_t bytes) {
    if (fatbin_bytes(fatbin) != bytes) printf("its header is wrong\n");
    for (const uint8_t *at = fatbin + HEADER; at < fatbin + bytes;) {
        uint32_t architecture;
        uint64_t data_bytes;
        memcpy(&data_bytes, at + 8, 8);
        memcpy(&architecture, at + 28, 4);
        for (uint64_t i = 0; i < data_bytes; i++)
            if (at[ENTRY + i] != (uint8_t)architecture) abort();
        printf("%u:%u:%u ", at[0], architecture, (unsigned)data_bytes);
        at += ENTRY + data_bytes;
    }
    printf("\n");
}

int main(int argc, char **argv) {
    static uint8_t fatbin[1 << 16];
    const uint8_t start[] = {0x50, 0xed, 0x55, 0xba, 1, 0, HEADER, 0};
    size_t bytes = HEADER, cut_bytes;
    for (int i = 2; i < argc; i++) {
        unsigned kind, architecture, data;
        if (sscanf(argv[i], "%u:%u:%u", &kind, &architecture, &data) != 3) return 2;
        bytes += add(fatbin + bytes, kind, architecture, data);
    }
    uint64_t data_bytes = bytes - HEADER;
    memcpy(fatbin, start, sizeof start);
    memcpy(fatbin + 8, &data_bytes, 8);
    unsigned capability = (unsigned)atoi(argv[1]);
    uint8_t *cut = fatbin_cut(fatbin, capability, &cut_bytes);
    if (cut == NULL) printf("as it is\n");
    else print(cut, cut_bytes);
    free(cut);
    for (unsigned seed = 1; seed < 5000; seed++) {
        uint8_t *damaged = malloc(bytes);
        memcpy(damaged, fatbin, bytes);
        srand(seed);
        for (int times = rand() % 4 + 1; times > 0; times--) damaged[(size_t)HEADER + (size_t)rand() % (bytes - HEADER)] = (uint8_t)rand();
        free(fatbin_cut(damaged, capability, &cut_bytes));
        free(damaged);
    }
    return 0;
}
