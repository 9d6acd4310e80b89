/* Surfaces over arrays of every shape: kernels write through them and read back, and textures see what they wrote. */
#include "check.h"

#include <cmath>

#define WIDTH 24
#define HEIGHT 12
#define DEPTH 6

static cudaArray_t make(size_t width, size_t height, size_t depth, unsigned flags) {
    cudaArray_t array;
    cudaChannelFormatDesc channel = cudaCreateChannelDesc<int>();
    CHECK(cudaMalloc3DArray(&array, &channel, make_cudaExtent(width, height, depth), flags | cudaArraySurfaceLoadStore));
    return array;
}

static cudaResourceDesc resource_of(cudaArray_t array) {
    cudaResourceDesc resource;
    memset(&resource, 0, sizeof resource);
    resource.resType = cudaResourceTypeArray;
    resource.res.array.array = array;
    return resource;
}

static cudaSurfaceObject_t surface_over(cudaArray_t array) {
    cudaResourceDesc resource = resource_of(array), again;
    cudaSurfaceObject_t surface;
    CHECK(cudaCreateSurfaceObject(&surface, &resource));
    CHECK(cudaGetSurfaceObjectResourceDesc(&again, surface));
    EXPECT(again.resType == cudaResourceTypeArray && again.res.array.array == array);
    return surface;
}

enum shape { LINE, PLANE, VOLUME, LAYERED_LINE, LAYERED_PLANE };

__device__ int number_of(int x, int y, int z) {
    return x + 100 * y + 10000 * z;
}

__global__ void write_all(cudaSurfaceObject_t surface, shape shape, int width, int height, int depth) {
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y, z = blockIdx.z;
    if (x >= width || y >= height || z >= depth) return;
    switch (shape) {
    case LINE: surf1Dwrite(number_of(x, y, z), surface, x * 4); break;
    case PLANE: surf2Dwrite(number_of(x, y, z), surface, x * 4, y); break;
    case VOLUME: surf3Dwrite(number_of(x, y, z), surface, x * 4, y, z); break;
    case LAYERED_LINE: surf1DLayeredwrite(number_of(x, y, z), surface, x * 4, z); break;
    case LAYERED_PLANE: surf2DLayeredwrite(number_of(x, y, z), surface, x * 4, y, z); break;
    }
}

__global__ void count_right(cudaSurfaceObject_t surface, shape shape, int width, int height, int depth, int *right) {
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y, z = blockIdx.z;
    if (x >= width || y >= height || z >= depth) return;
    int got = -1;
    switch (shape) {
    case LINE: got = surf1Dread<int>(surface, x * 4); break;
    case PLANE: got = surf2Dread<int>(surface, x * 4, y); break;
    case VOLUME: got = surf3Dread<int>(surface, x * 4, y, z); break;
    case LAYERED_LINE: got = surf1DLayeredread<int>(surface, x * 4, z); break;
    case LAYERED_PLANE: got = surf2DLayeredread<int>(surface, x * 4, y, z); break;
    }
    if (got == number_of(x, y, z)) atomicAdd(right, 1);
}

static void shapes() {
    struct { shape shape; int width, height, depth; cudaArray_t array; } cases[] = {
        {LINE, WIDTH, 1, 1, make(WIDTH, 0, 0, 0)},
        {PLANE, WIDTH, HEIGHT, 1, make(WIDTH, HEIGHT, 0, 0)},
        {VOLUME, WIDTH, HEIGHT, DEPTH, make(WIDTH, HEIGHT, DEPTH, 0)},
        {LAYERED_LINE, WIDTH, 1, DEPTH, make(WIDTH, 0, DEPTH, cudaArrayLayered)},
        {LAYERED_PLANE, WIDTH, HEIGHT, DEPTH, make(WIDTH, HEIGHT, DEPTH, cudaArrayLayered)},
    };
    int *right, counted;
    CHECK(cudaMalloc(&right, sizeof *right));
    for (auto &each : cases) {
        cudaSurfaceObject_t surface = surface_over(each.array);
        dim3 grid((each.width + 15) / 16, each.height, each.depth);
        CHECK(cudaMemset(right, 0, sizeof *right));
        write_all<<<grid, 16>>>(surface, each.shape, each.width, each.height, each.depth);
        count_right<<<grid, 16>>>(surface, each.shape, each.width, each.height, each.depth, right);
        CHECK(cudaMemcpy(&counted, right, sizeof counted, cudaMemcpyDeviceToHost));
        EXPECT(counted == each.width * each.height * each.depth);
        std::vector<int> got(each.width * each.height * each.depth);
        cudaMemcpy3DParms copy;
        memset(&copy, 0, sizeof copy);
        copy.srcArray = each.array;
        copy.dstPtr = make_cudaPitchedPtr(got.data(), each.width * sizeof(int), each.width, each.height);
        copy.extent = make_cudaExtent(each.width, each.height, each.depth);
        copy.kind = cudaMemcpyDeviceToHost;
        CHECK(cudaMemcpy3D(&copy));
        for (int i = 0; i < (int)got.size(); i++)
            EXPECT(got[i] == i % each.width + 100 * (i / each.width % each.height) + 10000 * (i / each.width / each.height));
        CHECK(cudaDestroySurfaceObject(surface));
        CHECK(cudaFreeArray(each.array));
    }
    CHECK(cudaFree(right));
}

/* Places outside: nothing is written there, zeros are read, or the nearest place stands for them. */
__global__ void outside(cudaSurfaceObject_t surface, int *out) {
    surf2Dwrite(1111, surface, WIDTH * 4, 0, cudaBoundaryModeZero);
    surf2Dwrite(2222, surface, 0, -1, cudaBoundaryModeZero);
    surf2Dwrite(3333, surface, WIDTH * 4 + 40, HEIGHT + 4, cudaBoundaryModeClamp);
    out[0] = surf2Dread<int>(surface, WIDTH * 4, 0, cudaBoundaryModeZero);
    out[1] = surf2Dread<int>(surface, -8, 0, cudaBoundaryModeClamp);
    out[2] = surf2Dread<int>(surface, (WIDTH - 1) * 4, HEIGHT - 1);
    out[3] = surf2Dread<int>(surface, 0, HEIGHT, cudaBoundaryModeZero);
    uchar4 bytes = surf2Dread<uchar4>(surface, 4, 0);
    out[4] = bytes.x + bytes.y + bytes.z + bytes.w;
    short2 shorts = make_short2(5, -6);
    surf2Dwrite(shorts, surface, 8, 0);
    out[5] = surf2Dread<int>(surface, 8, 0);
}

/* A picture turned by a surface's writes, seen through a texture. */
__global__ void seen(cudaTextureObject_t texture, int *out) {
    out[threadIdx.x] = tex2D<int>(texture, threadIdx.x + 0.5f, 0.5f);
}

static void boundaries() {
    cudaArray_t array = make(WIDTH, HEIGHT, 0, 0);
    cudaSurfaceObject_t surface = surface_over(array);
    std::vector<int> numbers(WIDTH * HEIGHT);
    for (int i = 0; i < WIDTH * HEIGHT; i++) numbers[i] = 50 + i;
    CHECK(cudaMemcpy2DToArray(array, 0, 0, numbers.data(), WIDTH * 4, WIDTH * 4, HEIGHT, cudaMemcpyHostToDevice));
    int *out, got[WIDTH];
    CHECK(cudaMalloc(&out, sizeof got));
    outside<<<1, 1>>>(surface, out);
    CHECK(cudaMemcpy(got, out, sizeof got, cudaMemcpyDeviceToHost));
    EXPECT(got[0] == 0 && got[1] == 50 && got[2] == 3333 && got[3] == 0 && got[4] == 51 && got[5] == (5 | -6 * 65536));
    cudaResourceDesc resource = resource_of(array);
    cudaTextureDesc texture;
    memset(&texture, 0, sizeof texture);
    cudaTextureObject_t object;
    CHECK(cudaCreateTextureObject(&object, &resource, &texture, NULL));
    seen<<<1, WIDTH>>>(object, out);
    CHECK(cudaMemcpy(got, out, sizeof got, cudaMemcpyDeviceToHost));
    for (int i = 0; i < WIDTH; i++) EXPECT(got[i] == (i == 2 ? (5 | -6 * 65536) : 50 + i));
    CHECK(cudaDestroyTextureObject(object));
    CHECK(cudaDestroySurfaceObject(surface));
    cudaResourceDesc linear;
    memset(&linear, 0, sizeof linear);
    linear.resType = cudaResourceTypeLinear;
    linear.res.linear.devPtr = out;
    linear.res.linear.desc = cudaCreateChannelDesc<int>();
    linear.res.linear.sizeInBytes = sizeof got;
    EXPECT(cudaCreateSurfaceObject(&surface, &linear) != cudaSuccess);
    cudaGetLastError();
    CHECK(cudaFree(out));
    CHECK(cudaFreeArray(array));
}

int main() {
    shapes();
    boundaries();
    printf("ok\n");
    return 0;
}
