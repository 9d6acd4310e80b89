/* The unpackers against damaged data: whatever comes, they end, and nothing outside their memory is touched. Data comes from a file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../../client/interposer/core/fatbin.h"

static unsigned random_state;

static unsigned roll(unsigned below) {
    random_state = random_state * 1103515245u + 12345u;
    return (random_state >> 8) % below;
}

/* unpack KIND PACKED UNPACKED SEEDS: the packed file gives the other, and its damaged copies give no trouble. */
int main(int argc, char **argv) {
    static uint8_t packed[1 << 20], wanted[1 << 20], damaged[1 << 20], into[1 << 20];
    if (argc < 5) return 2;
    bool (*unpack)(const uint8_t *, size_t, uint8_t *, size_t) = strcmp(argv[1], "zstd") == 0 ? zstd_unpack : lz4_unpack;
    FILE *file = fopen(argv[2], "rb"), *other = fopen(argv[3], "rb");
    if (file == NULL || other == NULL) return 2;
    size_t packed_bytes = fread(packed, 1, sizeof packed, file), bytes = fread(wanted, 1, sizeof wanted, other);
    fclose(file);
    fclose(other);
    if (!unpack(packed, packed_bytes, into, bytes) || memcmp(into, wanted, bytes) != 0) {
        printf("the packed data does not give the data\n");
        return 1;
    }
    if (unpack(packed, packed_bytes, into, bytes - 1) || unpack(packed, packed_bytes - 1, into, bytes)) {
        printf("data of the wrong length is taken\n");
        return 1;
    }
    for (unsigned seed = 1; seed <= (unsigned)atoi(argv[4]); seed++) {
        random_state = seed;
        size_t length = roll(4) == 0 ? roll((unsigned)packed_bytes) : packed_bytes;
        uint8_t *exact = malloc(length + 1), *room = malloc(bytes);
        memcpy(damaged, packed, packed_bytes);
        for (unsigned times = roll(5) + 1; times > 0; times--) damaged[roll((unsigned)packed_bytes)] = (uint8_t)roll(256);
        memcpy(exact, damaged, length);
        unpack(exact, length, room, bytes);
        free(exact);
        free(room);
    }
    printf("ok\n");
    return 0;
}
