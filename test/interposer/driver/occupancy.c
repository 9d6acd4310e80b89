/* Devices' attributes, kernels' attributes and occupancy: plausible, and in agreement with one another. */
#include "driver.h"

int main(void) {
    CUmodule module;
    int threads, blocks, more, grid, block, per_processor, processors, warp, count;
    size_t total;
    char name[100], bus[32];
    CUuuid uuid, again;
    CUdevice device;
    start();
    CHECK(cuDeviceGetCount(&count));
    EXPECT(count >= 1);
    CHECK(cuDeviceGetName(name, sizeof name, 0));
    EXPECT(strlen(name) > 0);
    CHECK(cuDeviceTotalMem_v2(&total, 0));
    EXPECT(total > 0);
    CHECK(cuDeviceGetUuid_v2(&uuid, 0));
    CHECK(cuDeviceGetUuid_v2(&again, 0));
    EXPECT(memcmp(&uuid, &again, sizeof uuid) == 0);
    CHECK(cuDeviceGetPCIBusId(bus, sizeof bus, 0));
    CHECK(cuDeviceGetByPCIBusId(&device, bus));
    /* As PyTorch makes one of the attributes. */
    int place[3];
    for (int i = 0; i < 3; i++) CHECK(cuDeviceGetAttribute(&place[i], (const int[]){50, 33, 34}[i], 0));
    snprintf(bus, sizeof bus, "%08x:%02x:%02x.0", (unsigned)place[0], (unsigned)place[1], (unsigned)place[2]);
    CHECK(cuDeviceGetByPCIBusId(&device, bus));
    EXPECT(device == 0);
    EXPECT(device == 0);
    CHECK(cuDeviceGetAttribute(&warp, CU_ATTRIBUTE_WARP_SIZE, 0));
    CHECK(cuDeviceGetAttribute(&processors, CU_ATTRIBUTE_MULTIPROCESSOR_COUNT, 0));
    CHECK(cuDeviceGetAttribute(&per_processor, CU_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR, 0));
    EXPECT(warp == 32 && processors >= 1 && per_processor >= 1024);
    CUfunction add_one = load(PTX_ADD_ONE, "add_one", &module);
    CHECK(cuFuncGetAttribute(&threads, 0, add_one));
    EXPECT(threads >= 32 && threads <= 1024);
    CHECK(cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(&blocks, add_one, 64, 0, 0));
    CHECK(cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(&more, add_one, 512, 0, 0));
    EXPECT(blocks >= 1 && more >= 1 && more <= blocks && blocks * 64 <= per_processor);
    CHECK(cuOccupancyMaxPotentialBlockSize(&grid, &block, add_one, NULL, 0, 0));
    EXPECT(block % 32 == 0 && block >= 32 && grid >= processors);
    printf("ok\n");
    return 0;
}
