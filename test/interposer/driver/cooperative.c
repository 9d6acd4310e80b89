/* Cooperative launches through the driver API: as many blocks as fit wait for each other; one more is refused, and harms nothing. */
#include "driver.h"

#include "../../../client/interposer/driver/cuda-graph-api.h"

/* meet(u32 *counter, u32 *seen): each block counts up, waits until all have, and leaves what it sees then. */
static const char ptx[] = PTX_HEADER
    ".visible .entry meet(.param .u64 counter, .param .u64 seen)\n{\n.reg .pred %p<2>;\n.reg .b32 %r<6>;\n.reg .b64 %d<4>;\n"
    "ld.param.u64 %d0, [counter];\nld.param.u64 %d1, [seen];\nmov.u32 %r0, %ctaid.x;\nmov.u32 %r1, %nctaid.x;\n"
    "atom.global.add.u32 %r2, [%d0], 1;\n"
    "again:\nld.volatile.global.u32 %r3, [%d0];\nsetp.lt.u32 %p0, %r3, %r1;\n@%p0 bra again;\n"
    "mul.wide.u32 %d2, %r0, 4;\nadd.s64 %d1, %d1, %d2;\nst.global.u32 [%d1], %r3;\nret;\n}\n";

enum { BLOCKS_MAX = 4096 };

int main(void) {
    static unsigned seen[BLOCKS_MAX];
    int supported = 0, processors = 0, per_processor = 0;
    CUdeviceptr counter, out;
    CUmodule module;
    CUstream stream;
    CUgraph graph;
    CUgraphExec exec;
    start();
    CUfunction meet = load(ptx, "meet", &module);
    CHECK(cuDeviceGetAttribute(&supported, CU_ATTRIBUTE_COOPERATIVE_LAUNCH, 0));
    CHECK(cuDeviceGetAttribute(&processors, CU_ATTRIBUTE_MULTIPROCESSOR_COUNT, 0));
    EXPECT(supported == 1);
    CHECK(cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(&per_processor, meet, 1, 0, 0));
    unsigned blocks = (unsigned)(per_processor * processors);
    EXPECT(blocks >= 1 && blocks < BLOCKS_MAX);
    CHECK(cuStreamCreate(&stream, 1));
    CHECK(cuMemAlloc_v2(&counter, 4));
    CHECK(cuMemAlloc_v2(&out, sizeof seen));
    void *params[] = {&counter, &out};
    for (int turn = 0; turn < 5; turn++) {
        CHECK(cuMemsetD32Async(counter, 0, 1, stream));
        CHECK(cuLaunchCooperativeKernel(meet, blocks, 1, 1, 1, 1, 1, 0, stream, params));
        CHECK(cuStreamSynchronize(stream));
        CHECK(cuMemcpyDtoH_v2(seen, out, blocks * sizeof *seen));
        for (unsigned i = 0; i < blocks; i++) EXPECT(seen[i] == blocks);
    }
    CHECK_FAILS(cuLaunchCooperativeKernel(meet, blocks + 1, 1, 1, 1, 1, 1, 0, stream, params), CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE);
    CHECK(cuStreamBeginCapture_v2(stream, 0));
    CHECK(cuMemsetD32Async(counter, 0, 1, stream));
    CHECK(cuLaunchCooperativeKernel(meet, blocks, 1, 1, 1, 1, 1, 0, stream, params));
    CHECK(cuStreamEndCapture(stream, &graph));
    CHECK(cuGraphInstantiateWithFlags(&exec, graph, 0));
    for (int turn = 0; turn < 3; turn++) {
        CHECK(cuMemsetD32_v2(out, 0, blocks));
        CHECK(cuGraphLaunch(exec, stream));
        CHECK(cuStreamSynchronize(stream));
        CHECK(cuMemcpyDtoH_v2(seen, out, blocks * sizeof *seen));
        for (unsigned i = 0; i < blocks; i++) EXPECT(seen[i] == blocks);
    }
    printf("ok\n");
    return 0;
}
