/* Two devices of one lease: contexts on both, work on each, and copies between them. Needs two devices. */
#include "../driver/driver.h"

#include "../../../client/interposer/driver/cuda-image-api.h"

CUresult cuMemcpyPeer(CUdeviceptr destination, CUcontext to, CUdeviceptr source, CUcontext from, size_t bytes);
CUresult cuMemcpyPeerAsync(CUdeviceptr destination, CUcontext to, CUdeviceptr source, CUcontext from, size_t bytes, CUstream stream);
CUresult cuMemcpy3DPeer(const CUDA_MEMCPY3D *copy);

enum { COUNT = 300000 };

/* Layers of an array on one device become those of an array on the other, box by box, also where rows and planes are further apart. */
static void arrays(CUcontext *contexts) {
    enum { WIDTH = 7, HEIGHT = 5, LAYERS = 3 };
    CUDA_ARRAY3D_DESCRIPTOR shape = {WIDTH, HEIGHT, LAYERS, CU_FORMAT_UINT32, 1, CU_ARRAY_LAYERED};
    CUarray array[2];
    unsigned data[LAYERS][HEIGHT][WIDTH], got[LAYERS][HEIGHT][WIDTH];
    for (unsigned i = 0; i < LAYERS * HEIGHT * WIDTH; i++) (&data[0][0][0])[i] = 1000 + i;
    for (int i = 0; i < 2; i++) {
        CHECK(cuCtxSetCurrent(contexts[i]));
        CHECK(cuArray3DCreate_v2(&array[i], &shape));
        CUDA_MEMCPY3D fill = {.src_type = CU_MEMORY_HOST, .src_host = i == 0 ? data : got, .src_pitch = WIDTH * 4, .src_height = HEIGHT,
                              .dst_type = CU_MEMORY_ARRAY, .dst_array = array[i], .width_bytes = WIDTH * 4, .height = HEIGHT, .depth = LAYERS};
        memset(got, 0, sizeof got);
        CHECK(cuMemcpy3D_v2(&fill));
    }
    CUDA_MEMCPY3D peer = {.src_type = CU_MEMORY_ARRAY, .src_array = array[0], .src_x_bytes = 8, .src_y = 1, .src_z = 1, .reserved0 = contexts[0],
                          .dst_type = CU_MEMORY_ARRAY, .dst_array = array[1], .dst_z = 1, .reserved1 = contexts[1],
                          .width_bytes = 16, .height = 3, .depth = 2};
    CHECK(cuMemcpy3DPeer(&peer));
    CUDA_MEMCPY3D read = {.src_type = CU_MEMORY_ARRAY, .src_array = array[1], .dst_type = CU_MEMORY_HOST, .dst_host = got, .dst_pitch = WIDTH * 4,
                          .dst_height = HEIGHT, .width_bytes = WIDTH * 4, .height = HEIGHT, .depth = LAYERS};
    CHECK(cuMemcpy3D_v2(&read));
    for (int z = 0; z < LAYERS; z++)
        for (int y = 0; y < HEIGHT; y++)
            for (int x = 0; x < WIDTH; x++) EXPECT(got[z][y][x] == (z >= 1 && y < 3 && x < 4 ? data[z][y + 1][x + 2] : 0));
    for (int i = 0; i < 2; i++) {
        CHECK(cuCtxSetCurrent(contexts[i]));
        CHECK(cuArrayDestroy(array[i]));
    }
}

/* Copies work with or without direct access, which is had only where it is said to be. */
static void peers(CUcontext *contexts, CUdeviceptr *d, int *values) {
    int can;
    CUstream stream;
    CHECK(cuDeviceCanAccessPeer(&can, 0, 1));
    CHECK(cuCtxSetCurrent(contexts[0]));
    if (can) CHECK(cuCtxEnablePeerAccess(contexts[1], 0));
    else CHECK_FAILS(cuCtxEnablePeerAccess(contexts[1], 0), CUDA_ERROR_PEER_ACCESS_UNSUPPORTED);
    CHECK(cuStreamCreate(&stream, 0));
    CHECK(cuMemsetD32_v2(d[0], 5, COUNT));
    CHECK(cuMemsetD32Async(d[0], 6, COUNT / 2, stream));
    CHECK(cuMemcpyPeerAsync(d[1], contexts[1], d[0], contexts[0], COUNT * 4, stream));
    CHECK(cuStreamSynchronize(stream));
    CHECK(cuMemcpyDtoH_v2(values, d[1], COUNT * 4));
    for (int i = 0; i < COUNT; i++) EXPECT(values[i] == (i < COUNT / 2 ? 6 : 5));
    CHECK(cuMemcpyPeer(d[1] + 4, contexts[1], d[0] + COUNT * 2, contexts[0], 400));
    CHECK(cuMemcpyDtoH_v2(values, d[1], 408));
    for (int i = 0; i < 102; i++) EXPECT(values[i] == (i >= 1 && i < 101 ? 5 : 6));
    CHECK_FAILS(cuMemcpyPeer(d[1], contexts[1], d[0], contexts[0], COUNT * 4 + 1024), CUDA_ERROR_INVALID_VALUE);
    CHECK(cuStreamDestroy_v2(stream));
}

int main(void) {
    static int values[COUNT];
    CUcontext contexts[2];
    CUmodule modules[2];
    CUfunction functions[2];
    CUdeviceptr d[2];
    CUstream stream;
    CUevent event;
    CUdevice ordinal;
    int count = 0, n = COUNT;
    unsigned int type;
    CHECK(cuInit(0));
    CHECK(cuDeviceGetCount(&count));
    EXPECT(count == 2);
    for (int i = 0; i < 2; i++) {
        CHECK(cuDevicePrimaryCtxRetain(&contexts[i], i));
        CHECK(cuCtxSetCurrent(contexts[i]));
        functions[i] = load(PTX_ADD_ONE, "add_one", &modules[i]);
        CHECK(cuMemAlloc_v2(&d[i], sizeof values));
        CHECK(cuMemsetD32_v2(d[i], 100 * (unsigned)(i + 1), COUNT));
    }
    CHECK(cuPointerGetAttribute(&type, 9, d[1]));
    EXPECT(type == 1);
    void *params[] = {&d[1], &n};
    CHECK(launch(functions[1], 64, 128, NULL, params));
    CHECK_FAILS(launch(functions[0], 64, 128, NULL, params), CUDA_ERROR_INVALID_HANDLE);
    CHECK(cuMemcpyDtoD_v2(d[0], d[1], sizeof values));
    CHECK(cuCtxSetCurrent(contexts[0]));
    CHECK(cuStreamCreate(&stream, 0));
    CHECK(cuEventCreate(&event, 0));
    params[0] = &d[0];
    CHECK(launch(functions[0], 64, 128, stream, params));
    CHECK(cuEventRecord(event, stream));
    CHECK(cuCtxSetCurrent(contexts[1]));
    CHECK(cuStreamWaitEvent(NULL, event, 0));
    CHECK(cuCtxGetDevice(&ordinal));
    EXPECT(ordinal == 1);
    CHECK(cuMemcpyDtoD_v2(d[1], d[0], sizeof values));
    CHECK(cuMemcpyDtoH_v2(values, d[1], sizeof values));
    for (int i = 0; i < COUNT; i++) EXPECT(values[i] == 202);
    peers(contexts, d, values);
    arrays(contexts);
    printf("ok\n");
    return 0;
}
