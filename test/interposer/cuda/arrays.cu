/* Arrays of one, two and three dimensions, with layers and of cubes: copies to, from and between them, and textures over them. */
#include "check.h"

#include <algorithm>
#include <cmath>

static cudaArray_t make(size_t width, size_t height, size_t depth, unsigned flags = 0) {
    cudaArray_t array;
    cudaChannelFormatDesc channel = cudaCreateChannelDesc<float>();
    CHECK(cudaMalloc3DArray(&array, &channel, make_cudaExtent(width, height, depth), flags));
    return array;
}

static std::vector<float> numbers(size_t count, float first = 0) {
    std::vector<float> data(count);
    for (size_t i = 0; i < count; i++) data[i] = first + (float)i;
    return data;
}

static void fill(cudaArray_t array, const std::vector<float> &data, cudaExtent extent, cudaStream_t stream = 0) {
    cudaMemcpy3DParms copy;
    memset(&copy, 0, sizeof copy);
    copy.srcPtr = make_cudaPitchedPtr((void *)data.data(), extent.width * sizeof(float), extent.width, extent.height);
    copy.dstArray = array;
    copy.extent = extent;
    copy.kind = cudaMemcpyHostToDevice;
    CHECK(stream == 0 ? cudaMemcpy3D(&copy) : cudaMemcpy3DAsync(&copy, stream));
}

static cudaTextureObject_t texture_over(cudaArray_t array, cudaTextureFilterMode filter = cudaFilterModePoint, bool is_normalized = false) {
    cudaResourceDesc resource;
    cudaTextureDesc texture;
    memset(&resource, 0, sizeof resource);
    memset(&texture, 0, sizeof texture);
    resource.resType = cudaResourceTypeArray;
    resource.res.array.array = array;
    for (auto &mode : texture.addressMode) mode = cudaAddressModeClamp;
    texture.filterMode = filter;
    texture.normalizedCoords = is_normalized;
    cudaTextureObject_t object;
    CHECK(cudaCreateTextureObject(&object, &resource, &texture, NULL));
    return object;
}

enum shape { LINE, PLANE, VOLUME, LAYERED_LINE, LAYERED_PLANE, CUBE, LAYERED_CUBE };

__global__ void fetch(cudaTextureObject_t texture, shape shape, const float4 *places, float *out, int count) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    float4 p = places[i];
    switch (shape) {
    case LINE: out[i] = tex1D<float>(texture, p.x); break;
    case PLANE: out[i] = tex2D<float>(texture, p.x, p.y); break;
    case VOLUME: out[i] = tex3D<float>(texture, p.x, p.y, p.z); break;
    case LAYERED_LINE: out[i] = tex1DLayered<float>(texture, p.x, (int)p.w); break;
    case LAYERED_PLANE: out[i] = tex2DLayered<float>(texture, p.x, p.y, (int)p.w); break;
    case CUBE: out[i] = texCubemap<float>(texture, p.x, p.y, p.z); break;
    case LAYERED_CUBE: out[i] = texCubemapLayered<float>(texture, p.x, p.y, p.z, (int)p.w); break;
    }
}

static std::vector<float> fetch_all(cudaTextureObject_t texture, shape shape, const std::vector<float4> &places) {
    float4 *places_device;
    float *out;
    std::vector<float> got(places.size());
    CHECK(cudaMalloc(&places_device, places.size() * sizeof(float4)));
    CHECK(cudaMalloc(&out, places.size() * sizeof(float)));
    CHECK(cudaMemcpy(places_device, places.data(), places.size() * sizeof(float4), cudaMemcpyHostToDevice));
    fetch<<<(unsigned)(places.size() + 31) / 32, 32>>>(texture, shape, places_device, out, (int)places.size());
    CHECK(cudaMemcpy(got.data(), out, places.size() * sizeof(float), cudaMemcpyDeviceToHost));
    CHECK(cudaFree(places_device));
    CHECK(cudaFree(out));
    return got;
}

static void expect_texels(cudaArray_t array, shape shape, const std::vector<float4> &places, const std::vector<float> &want) {
    cudaTextureObject_t texture = texture_over(array);
    std::vector<float> got = fetch_all(texture, shape, places);
    for (size_t i = 0; i < got.size(); i++)
        if (got[i] != want[i]) {
            printf("shape %d place %zu: %g, expected %g\n", shape, i, got[i], want[i]);
            exit(1);
        }
    CHECK(cudaDestroyTextureObject(texture));
}

/* Every texel of every shape, put there by a copy of a box. */
static void shapes() {
    const int width = 13, height = 7, depth = 5;
    struct { shape shape; cudaExtent array, copy; unsigned flags; } cases[] = {
        {LINE, make_cudaExtent(width, 0, 0), make_cudaExtent(width, 1, 1), 0},
        {PLANE, make_cudaExtent(width, height, 0), make_cudaExtent(width, height, 1), 0},
        {VOLUME, make_cudaExtent(width, height, depth), make_cudaExtent(width, height, depth), 0},
        {LAYERED_LINE, make_cudaExtent(width, 0, depth), make_cudaExtent(width, 1, depth), cudaArrayLayered},
        {LAYERED_PLANE, make_cudaExtent(width, height, depth), make_cudaExtent(width, height, depth), cudaArrayLayered},
    };
    for (auto &each : cases) {
        cudaArray_t array = make(each.array.width, each.array.height, each.array.depth, each.flags);
        cudaChannelFormatDesc channel;
        cudaExtent extent;
        unsigned flags;
        CHECK(cudaArrayGetInfo(&channel, &extent, &flags, array));
        EXPECT(channel.x == 32 && channel.y == 0 && channel.f == cudaChannelFormatKindFloat && flags == each.flags);
        EXPECT(extent.width == each.array.width && extent.height == each.array.height && extent.depth == each.array.depth);
        std::vector<float> data = numbers(each.copy.width * each.copy.height * each.copy.depth, 100);
        fill(array, data, each.copy);
        std::vector<float4> places;
        for (size_t z = 0; z < each.copy.depth; z++)
            for (size_t y = 0; y < each.copy.height; y++)
                for (size_t x = 0; x < each.copy.width; x++) places.push_back(make_float4(x + 0.5f, y + 0.5f, z + 0.5f, (float)z));
        expect_texels(array, each.shape, places, data);
        CHECK(cudaFreeArray(array));
    }
}

/* Faces of one number each, filtered across the edges between them. */
static void seamless_cubes() {
    const int size = 8;
    std::vector<float> data(size * size * 6);
    for (int face = 0; face < 6; face++) std::fill_n(data.begin() + face * size * size, size * size, (float)(1 << face));
    cudaArray_t cube = make(size, size, 6, cudaArrayCubemap), plane = make(size, size, 0);
    fill(cube, data, make_cudaExtent(size, size, 6));
    cudaResourceDesc resource;
    cudaTextureDesc texture;
    memset(&resource, 0, sizeof resource);
    memset(&texture, 0, sizeof texture);
    resource.resType = cudaResourceTypeArray;
    resource.res.array.array = cube;
    texture.filterMode = cudaFilterModeLinear;
    texture.normalizedCoords = 1;
    texture.seamlessCubemap = 1;
    cudaTextureObject_t object;
    CHECK(cudaCreateTextureObject(&object, &resource, &texture, NULL));
    const float e = 0.1f, n = 1 - 0.5f / size;
    std::vector<float4> places = {{1, 1, e, 0}, {-1, e, 1, 0}, {e, -1, -1, 0}, {1, e, e, 0}, {e, 1, n, 0}, {-n, e, -1, 0}};
    std::vector<float> want = {(1 + 4) / 2.0f, (2 + 16) / 2.0f, (8 + 32) / 2.0f, 1, 0.75f * 4 + 0.25f * 16, 0.75f * 32 + 0.25f * 2};
    std::vector<float> got = fetch_all(object, CUBE, places);
    for (size_t i = 0; i < places.size(); i++) EXPECT(fabsf(got[i] - want[i]) < 0.1f);
    CHECK(cudaDestroyTextureObject(object));
    resource.res.array.array = plane;
    EXPECT(cudaCreateTextureObject(&object, &resource, &texture, NULL) != cudaSuccess);
    cudaGetLastError();
    CHECK(cudaFreeArray(cube));
    CHECK(cudaFreeArray(plane));
}

static void cubes() {
    const int size = 4;
    std::vector<float> data = numbers(size * size * 12);
    cudaArray_t cube = make(size, size, 6, cudaArrayCubemap), cubes = make(size, size, 12, cudaArrayCubemap | cudaArrayLayered);
    fill(cube, data, make_cudaExtent(size, size, 6));
    fill(cubes, data, make_cudaExtent(size, size, 12));
    /* A texel beside the middle of each face. */
    const float e = 0.2f;
    std::vector<float4> places = {{1, e, e, 1}, {-1, e, e, 1}, {e, 1, e, 1}, {e, -1, e, 1}, {e, e, 1, 1}, {e, e, -1, 1}};
    const int x[] = {1, 2, 2, 2, 2, 1}, y[] = {1, 1, 2, 1, 1, 1};
    std::vector<float> want, want_layered;
    for (int face = 0; face < 6; face++) {
        want.push_back(data[(face * size + y[face]) * size + x[face]]);
        want_layered.push_back(want[face] + 6 * size * size);
    }
    expect_texels(cube, CUBE, places, want);
    expect_texels(cubes, LAYERED_CUBE, places, want_layered);
    CHECK(cudaFreeArray(cube));
    CHECK(cudaFreeArray(cubes));
}

/* In the middle of eight texels, and elsewhere between them. */
static void filtered() {
    const int width = 8, height = 4, depth = 4;
    cudaArray_t array = make(width, height, depth);
    std::vector<float> data = numbers(width * height * depth);
    fill(array, data, make_cudaExtent(width, height, depth));
    cudaTextureObject_t texture = texture_over(array, cudaFilterModeLinear, true);
    std::vector<float4> places;
    std::vector<float> want;
    for (float z = 1; z < depth; z += 0.75f)
        for (float y = 1; y < height; y += 0.5f)
            for (float x = 1; x < width; x += 1.25f) {
                places.push_back(make_float4(x / width, y / height, z / depth, 0));
                /* The numbers grow evenly, up to the middle of the last texel. */
                float u = fminf(x, width - 0.5f) - 0.5f, v = fminf(y, height - 0.5f) - 0.5f, w = fminf(z, depth - 0.5f) - 0.5f;
                want.push_back(u + width * (v + height * w));
            }
    std::vector<float> got = fetch_all(texture, VOLUME, places);
    for (size_t i = 0; i < got.size(); i++) EXPECT(fabsf(got[i] - want[i]) < 0.01f);
    CHECK(cudaDestroyTextureObject(texture));
    CHECK(cudaFreeArray(array));
}

/* Rectangles, at places of their own, through host and device memory and between arrays. */
static void rectangles() {
    const int width = 20, height = 10;
    const size_t row = width * sizeof(float);
    cudaArray_t first = make(width, height, 0), second = make(width, height, 0);
    std::vector<float> data = numbers(width * height), got(width * height, -1);
    CHECK(cudaMemcpy2DToArray(first, 0, 0, data.data(), row, row, height, cudaMemcpyHostToDevice));
    CHECK(cudaMemcpy2DFromArray(got.data(), row, first, 0, 0, row, height, cudaMemcpyDeviceToHost));
    EXPECT(got == data);
    /* A part of 5 by 4 from (3, 2) to (10, 5). */
    CHECK(cudaMemcpy2DToArray(second, 0, 0, std::vector<float>(width * height, 7).data(), row, row, height, cudaMemcpyHostToDevice));
    CHECK(cudaMemcpy2DArrayToArray(second, 10 * 4, 5, first, 3 * 4, 2, 5 * 4, 4, cudaMemcpyDeviceToDevice));
    cudaStream_t stream;
    CHECK(cudaStreamCreate(&stream));
    float *memory;
    size_t pitch;
    CHECK(cudaMallocPitch(&memory, &pitch, row, height));
    CHECK(cudaMemcpy2DFromArrayAsync(memory, pitch, second, 0, 0, row, height, cudaMemcpyDeviceToDevice, stream));
    CHECK(cudaMemcpy2DAsync(got.data(), row, memory, pitch, row, height, cudaMemcpyDeviceToHost, stream));
    CHECK(cudaStreamSynchronize(stream));
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            bool is_inside = x >= 10 && x < 15 && y >= 5 && y < 9;
            EXPECT(got[y * width + x] == (is_inside ? data[(y - 3) * width + x - 7] : 7));
        }
    CHECK(cudaMemcpy2DToArrayAsync(first, 4, 1, memory, pitch, row - 4, height - 1, cudaMemcpyDeviceToDevice, stream));
    CHECK(cudaMemcpy2DFromArrayAsync(got.data(), row, first, 0, 0, row, height, cudaMemcpyDeviceToHost, stream));
    CHECK(cudaStreamSynchronize(stream));
    EXPECT(got[0] == 0 && got[width] == width && got[width + 1] == 7 && got[7 * width + 12] == data[3 * width + 4]);
    CHECK(cudaStreamDestroy(stream));
    CHECK(cudaFree(memory));
    CHECK(cudaFreeArray(first));
    CHECK(cudaFreeArray(second));
}

/* A box out of the middle of one array into another, counted in elements. */
static void boxes() {
    const cudaExtent whole = make_cudaExtent(6, 5, 4);
    cudaArray_t from = make(6, 5, 4), to = make(6, 5, 4);
    std::vector<float> data = numbers(120), got(120);
    fill(from, data, whole);
    fill(to, std::vector<float>(120, -1), whole);
    cudaMemcpy3DParms copy;
    memset(&copy, 0, sizeof copy);
    copy.srcArray = from;
    copy.srcPos = make_cudaPos(1, 2, 1);
    copy.dstArray = to;
    copy.dstPos = make_cudaPos(2, 0, 2);
    copy.extent = make_cudaExtent(3, 2, 2);
    copy.kind = cudaMemcpyDeviceToDevice;
    CHECK(cudaMemcpy3D(&copy));
    memset(&copy, 0, sizeof copy);
    copy.srcArray = to;
    copy.dstPtr = make_cudaPitchedPtr(got.data(), 6 * sizeof(float), 6, 5);
    copy.extent = whole;
    copy.kind = cudaMemcpyDeviceToHost;
    CHECK(cudaMemcpy3D(&copy));
    for (int z = 0; z < 4; z++)
        for (int y = 0; y < 5; y++)
            for (int x = 0; x < 6; x++) {
                bool is_inside = x >= 2 && x < 5 && y < 2 && z >= 2;
                float want = is_inside ? data[((z - 1) * 5 + y + 2) * 6 + x - 1] : -1;
                EXPECT(got[(z * 5 + y) * 6 + x] == want);
            }
    copy.extent.width = 7;
    EXPECT(cudaMemcpy3D(&copy) != cudaSuccess);
    copy.extent = make_cudaExtent(6, 5, 5);
    EXPECT(cudaMemcpy3D(&copy) != cudaSuccess);
    cudaGetLastError();
    CHECK(cudaFreeArray(from));
    CHECK(cudaFreeArray(to));
}

static void refusals() {
    cudaArray_t array;
    cudaChannelFormatDesc channel = cudaCreateChannelDesc<float4>();
    EXPECT(cudaMallocArray(&array, &channel, 1 << 30, 4) == cudaErrorInvalidValue);
    channel.y = 16;
    EXPECT(cudaMallocArray(&array, &channel, 4, 4) != cudaSuccess);
    cudaGetLastError();
    CHECK(cudaFreeArray(NULL));
}

/* Copies of arrays and a kernel that reads a texture, captured and played again. */
static void graph() {
    cudaArray_t array = make(32, 1, 0);
    cudaTextureObject_t texture = texture_over(array);
    cudaStream_t stream;
    CHECK(cudaStreamCreate(&stream));
    float *memory, *out;
    float4 *places;
    CHECK(cudaMalloc(&memory, 32 * sizeof(float)));
    CHECK(cudaMalloc(&out, 32 * sizeof(float)));
    CHECK(cudaMalloc(&places, 32 * sizeof(float4)));
    std::vector<float4> where(32);
    for (int i = 0; i < 32; i++) where[i] = make_float4(31.5f - i, 0.5f, 0, 0);
    CHECK(cudaMemcpy(places, where.data(), 32 * sizeof(float4), cudaMemcpyHostToDevice));
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    CHECK(cudaMemcpy2DToArrayAsync(array, 0, 0, memory, 128, 128, 1, cudaMemcpyDeviceToDevice, stream));
    fetch<<<1, 32, 0, stream>>>(texture, PLANE, places, out, 32);
    CHECK(cudaStreamEndCapture(stream, &graph));
    CHECK(cudaGraphInstantiate(&exec, graph, 0));
    for (int turn = 1; turn < 5; turn++) {
        std::vector<float> data = numbers(32, 100.0f * turn), got(32);
        CHECK(cudaMemcpy(memory, data.data(), 128, cudaMemcpyHostToDevice));
        CHECK(cudaGraphLaunch(exec, stream));
        CHECK(cudaStreamSynchronize(stream));
        CHECK(cudaMemcpy(got.data(), out, 128, cudaMemcpyDeviceToHost));
        for (int i = 0; i < 32; i++) EXPECT(got[i] == data[31 - i]);
    }
    CHECK(cudaGraphExecDestroy(exec));
    CHECK(cudaGraphDestroy(graph));
    CHECK(cudaStreamDestroy(stream));
    CHECK(cudaDestroyTextureObject(texture));
    CHECK(cudaFreeArray(array));
    CHECK(cudaFree(memory));
    CHECK(cudaFree(out));
    CHECK(cudaFree(places));
}

int main() {
    shapes();
    cubes();
    seamless_cubes();
    filtered();
    rectangles();
    boxes();
    refusals();
    graph();
    CHECK(cudaDeviceReset());
    printf("ok\n");
    return 0;
}
