/*
 * Plays a script of calls from stdin and prints a hash of every read. The same script is played by another client; both must print
 * the same. Lines: a ID BYTES, f ID, w ID OFFSET BYTES SEED, s ID OFFSET COUNT WIDTH VALUE, c TO TOOFFSET FROM FROMOFFSET BYTES,
 * l ID COUNT, r ID OFFSET BYTES.
 */
#include "../driver/driver.h"

enum { BUFFERS_MAX = 4096, BYTES_MAX = 4 << 20 };

static unsigned hash_of(const unsigned char *bytes, size_t count) {
    unsigned hash = 2166136261u;
    for (size_t i = 0; i < count; i++) hash = (hash ^ bytes[i]) * 16777619u;
    return hash;
}

int main(void) {
    static CUdeviceptr buffers[BUFFERS_MAX];
    static unsigned char bytes[BYTES_MAX];
    CUmodule module;
    char line[256], what;
    unsigned long v[5];
    start();
    CUfunction add_one = load(PTX_ADD_ONE, "add_one", &module);
    while (fgets(line, sizeof line, stdin) != NULL) {
        memset(v, 0, sizeof v);
        EXPECT(sscanf(line, "%c %lu %lu %lu %lu %lu", &what, &v[0], &v[1], &v[2], &v[3], &v[4]) >= 2 && v[0] < BUFFERS_MAX);
        CUdeviceptr at = buffers[v[0]] + v[1];
        if (what == 'a') CHECK(cuMemAlloc_v2(&buffers[v[0]], v[1]));
        if (what == 'f') CHECK(cuMemFree_v2(buffers[v[0]]));
        if (what == 'w') {
            unsigned state = (unsigned)v[3];
            for (size_t i = 0; i < v[2]; i++) bytes[i] = (unsigned char)((state = state * 1664525u + 1013904223u) >> 24);
            CHECK(cuMemcpyHtoD_v2(at, bytes, v[2]));
        }
        if (what == 's' && v[3] == 1) CHECK(cuMemsetD8_v2(at, (unsigned char)v[4], v[2]));
        if (what == 's' && v[3] == 2) CHECK(cuMemsetD16_v2(at, (unsigned short)v[4], v[2]));
        if (what == 's' && v[3] == 4) CHECK(cuMemsetD32_v2(at, (unsigned)v[4], v[2]));
        if (what == 'c') CHECK(cuMemcpyDtoD_v2(at, buffers[v[2]] + v[3], v[4]));
        if (what == 'l') {
            int count = (int)v[1];
            void *params[] = {&buffers[v[0]], &count};
            CHECK(launch(add_one, 8, 64, NULL, params));
        }
        if (what == 'r') {
            CHECK(cuMemcpyDtoH_v2(bytes, at, v[2]));
            printf("%u\n", hash_of(bytes, v[2]));
        }
    }
    return 0;
}
