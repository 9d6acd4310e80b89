/*
 * Arrays of several levels of detail: made on the device from each other by textures and surfaces over single levels, filled by copies, and read
 * at levels that a kernel names or that follow from how its coordinates change; views of some of them; what is wrong with wishes for them.
 */
#include "check.h"

#include <cmath>

#define SIDE 64
#define LEVELS 7

static cudaTextureDesc reading(cudaTextureFilterMode filter, cudaTextureFilterMode between, float most = 100) {
    cudaTextureDesc texture;
    memset(&texture, 0, sizeof texture);
    for (auto &mode : texture.addressMode) mode = cudaAddressModeClamp;
    texture.filterMode = filter;
    texture.mipmapFilterMode = between;
    texture.normalizedCoords = 1;
    texture.maxMipmapLevelClamp = most;
    /* A GPU's own shortcuts are not the reference's. */
    texture.disableTrilinearOptimization = 1;
    return texture;
}

static cudaTextureObject_t over(cudaArray_t array, cudaTextureDesc texture) {
    cudaResourceDesc resource;
    cudaTextureObject_t object;
    memset(&resource, 0, sizeof resource);
    resource.resType = cudaResourceTypeArray;
    resource.res.array.array = array;
    CHECK(cudaCreateTextureObject(&object, &resource, &texture, NULL));
    return object;
}

static cudaResourceDesc all_of(cudaMipmappedArray_t array) {
    cudaResourceDesc resource;
    memset(&resource, 0, sizeof resource);
    resource.resType = cudaResourceTypeMipmappedArray;
    resource.res.mipmap.mipmap = array;
    return resource;
}

static cudaTextureObject_t over(cudaMipmappedArray_t array, cudaTextureDesc texture, const cudaResourceViewDesc *view = NULL) {
    cudaResourceDesc resource = all_of(array);
    cudaTextureObject_t object;
    CHECK(cudaCreateTextureObject(&object, &resource, &texture, view));
    return object;
}

template <class T> static T *device_copy(const std::vector<T> &data) {
    T *device;
    CHECK(cudaMalloc(&device, data.size() * sizeof(T)));
    CHECK(cudaMemcpy(device, data.data(), data.size() * sizeof(T), cudaMemcpyHostToDevice));
    return device;
}

/* The mean of four texels, which is what linear filtering gives between them. */
__global__ void halve(cudaTextureObject_t finer, cudaSurfaceObject_t coarser, int side) {
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x < side && y < side) surf2Dwrite(tex2D<float>(finer, (x + 0.5f) / side, (y + 0.5f) / side), coarser, x * 4, y);
}

struct Place {
    float x, y, z, level;
};

__global__ void read_planes(cudaTextureObject_t texture, const Place *places, float *out, int count) {
    int i = threadIdx.x + blockIdx.x * blockDim.x;
    if (i < count) out[i] = tex2DLod<float>(texture, places[i].x, places[i].y, places[i].level);
}

/* Changes along one axis of as many texels as a level has for one. */
__global__ void read_changes(cudaTextureObject_t texture, const Place *places, float *out, int count, float side) {
    int i = threadIdx.x + blockIdx.x * blockDim.x;
    if (i >= count) return;
    float change = exp2f(places[i].level) / side;
    out[i] = tex2DGrad<float>(texture, places[i].x, places[i].y, make_float2(change, 0), make_float2(0, change / 2));
}

/* All levels as the host reckons them. */
struct Pyramid {
    std::vector<std::vector<float>> levels;

    static float texel(const std::vector<float> &level, int side, int x, int y) {
        x = x < 0 ? 0 : x >= side ? side - 1 : x;
        y = y < 0 ? 0 : y >= side ? side - 1 : y;
        return level[y * side + x];
    }
    float at(int number, float x, float y, bool is_linear) const {
        const std::vector<float> &level = levels[number];
        int side = SIDE >> number;
        x *= side, y *= side;
        if (!is_linear) return texel(level, side, (int)floorf(x), (int)floorf(y));
        x -= 0.5f, y -= 0.5f;
        int u = (int)floorf(x), v = (int)floorf(y);
        float a = roundf((x - u) * 256) / 256, b = roundf((y - v) * 256) / 256;
        return (1 - a) * (1 - b) * texel(level, side, u, v) + a * (1 - b) * texel(level, side, u + 1, v) +
               (1 - a) * b * texel(level, side, u, v + 1) + a * b * texel(level, side, u + 1, v + 1);
    }
    float read(const Place &place, const cudaTextureDesc &texture) const {
        float level = place.level + texture.mipmapLevelBias;
        level = fmaxf(level, texture.minMipmapLevelClamp);
        level = fminf(level, fminf(texture.maxMipmapLevelClamp, LEVELS - 1));
        level = fmaxf(level, 0);
        bool is_linear = texture.filterMode == cudaFilterModeLinear;
        if (texture.mipmapFilterMode == cudaFilterModePoint) return at((int)roundf(level), place.x, place.y, is_linear);
        int finer = (int)level;
        float weight = level - finer;
        if (weight == 0) return at(finer, place.x, place.y, is_linear);
        return (1 - weight) * at(finer, place.x, place.y, is_linear) + weight * at(finer + 1, place.x, place.y, is_linear);
    }
};

static cudaMipmappedArray_t make(cudaExtent extent, unsigned levels, unsigned flags) {
    cudaChannelFormatDesc channel = cudaCreateChannelDesc<float>();
    cudaMipmappedArray_t array;
    CHECK(cudaMallocMipmappedArray(&array, &channel, extent, levels, flags));
    return array;
}

/* As a program does that makes its levels by itself. */
static Pyramid build(cudaMipmappedArray_t array) {
    Pyramid pyramid;
    for (int number = 0; number < LEVELS; number++) {
        int side = SIDE >> number;
        cudaArray_t level, finer;
        CHECK(cudaGetMipmappedArrayLevel(&level, array, number));
        cudaExtent extent;
        CHECK(cudaArrayGetInfo(NULL, &extent, NULL, level));
        EXPECT(extent.width == (size_t)side && extent.height == (size_t)side && extent.depth == 0);
        std::vector<float> numbers(side * side);
        if (number == 0) {
            for (int i = 0; i < side * side; i++) numbers[i] = (float)((i * 37 + i / side * 11) % 256);
            CHECK(cudaMemcpy2DToArray(level, 0, 0, numbers.data(), side * 4, side * 4, side, cudaMemcpyHostToDevice));
        } else {
            CHECK(cudaGetMipmappedArrayLevel(&finer, array, number - 1));
            cudaTextureObject_t from = over(finer, reading(cudaFilterModeLinear, cudaFilterModePoint));
            cudaResourceDesc resource;
            memset(&resource, 0, sizeof resource);
            resource.res.array.array = level;
            cudaSurfaceObject_t to;
            CHECK(cudaCreateSurfaceObject(&to, &resource));
            halve<<<dim3((side + 7) / 8, (side + 7) / 8), dim3(8, 8)>>>(from, to, side);
            CHECK(cudaDeviceSynchronize());
            CHECK(cudaDestroyTextureObject(from));
            CHECK(cudaDestroySurfaceObject(to));
            CHECK(cudaMemcpy2DFromArray(numbers.data(), side * 4, level, 0, 0, side * 4, side, cudaMemcpyDeviceToHost));
            for (int y = 0; y < side; y++)
                for (int x = 0; x < side; x++) {
                    const std::vector<float> &fine = pyramid.levels.back();
                    const float *at = &fine[y * 2 * side * 2 + x * 2];
                    EXPECT(fabsf(numbers[y * side + x] - (at[0] + at[1] + at[side * 2] + at[side * 2 + 1]) / 4) < 0.75f);
                }
        }
        pyramid.levels.push_back(numbers);
    }
    return pyramid;
}

static void compare(const char *what, const float *out, const std::vector<Place> &places, const Pyramid &pyramid, const cudaTextureDesc &texture) {
    std::vector<float> got(places.size());
    CHECK(cudaMemcpy(got.data(), out, got.size() * 4, cudaMemcpyDeviceToHost));
    for (size_t i = 0; i < places.size(); i++) {
        float want = pyramid.read(places[i], texture);
        if (fabsf(got[i] - want) > 2) {
            printf("%s: filters %d and %d at (%g, %g), level %g: %g, expected %g\n", what, texture.filterMode, texture.mipmapFilterMode,
                   places[i].x, places[i].y, places[i].level, got[i], want);
            exit(1);
        }
    }
}

static void planes() {
    cudaMipmappedArray_t array = make(make_cudaExtent(SIDE, SIDE, 0), 100, cudaArraySurfaceLoadStore);
    cudaArray_t none;
    EXPECT(cudaGetMipmappedArrayLevel(&none, array, LEVELS) == cudaErrorInvalidValue);
    cudaGetLastError();
    Pyramid pyramid = build(array);
    std::vector<Place> places;
    const float levels[] = {-2, 0, 0.25f, 0.625f, 1, 1.375f, 2.75f, 3.125f, 4.25f, 5.125f, 5.75f, 6, 9};
    for (int i = 0; i < 130; i++) places.push_back({(i * 11 % 64 + 0.25f) / 64, (i * 23 % 64 + 0.75f) / 64, 0, levels[i % 13]});
    int count = (int)places.size();
    Place *device = device_copy(places);
    float *out = device_copy(std::vector<float>(count));
    for (cudaTextureFilterMode filter : {cudaFilterModePoint, cudaFilterModeLinear})
        for (cudaTextureFilterMode between : {cudaFilterModePoint, cudaFilterModeLinear})
            for (int bounded = 0; bounded < 2; bounded++) {
                cudaTextureDesc texture = reading(filter, between);
                if (bounded) texture.mipmapLevelBias = 0.25f, texture.minMipmapLevelClamp = 1, texture.maxMipmapLevelClamp = 4;
                cudaTextureObject_t object = over(array, texture);
                read_planes<<<(count + 63) / 64, 64>>>(object, device, out, count);
                compare("by level", out, places, pyramid, texture);
                CHECK(cudaDestroyTextureObject(object));
                texture.maxAnisotropy = 16;
                CHECK(cudaDestroyTextureObject(over(array, texture)));
                texture.maxAnisotropy = 0;
                object = over(array, texture);
                read_changes<<<(count + 63) / 64, 64>>>(object, device, out, count, SIDE);
                compare("by changes", out, places, pyramid, texture);
                CHECK(cudaDestroyTextureObject(object));
            }

    /* Levels from the third on, seen as levels from the first on. */
    cudaResourceViewDesc view;
    memset(&view, 0, sizeof view);
    view.format = cudaResViewFormatFloat1;
    view.width = view.height = SIDE;
    view.firstMipmapLevel = 2;
    view.lastMipmapLevel = 3;
    cudaTextureDesc texture = reading(cudaFilterModePoint, cudaFilterModePoint);
    cudaTextureObject_t object = over(array, texture, &view);
    std::vector<Place> some = {{0.3f, 0.6f, 0, 0}, {0.3f, 0.6f, 0, 1}, {0.3f, 0.6f, 0, 5}};
    CHECK(cudaMemcpy(device, some.data(), sizeof(Place) * 3, cudaMemcpyHostToDevice));
    read_planes<<<1, 64>>>(object, device, out, 3);
    float got[3];
    CHECK(cudaMemcpy(got, out, sizeof got, cudaMemcpyDeviceToHost));
    EXPECT(got[0] == pyramid.at(2, 0.3f, 0.6f, false) && got[1] == pyramid.at(3, 0.3f, 0.6f, false) && got[2] == got[1]);
    cudaResourceViewDesc again;
    CHECK(cudaGetTextureObjectResourceViewDesc(&again, object));
    EXPECT(again.firstMipmapLevel == 2 && again.lastMipmapLevel == 3);
    CHECK(cudaDestroyTextureObject(object));
    CHECK(cudaFreeMipmappedArray(array));
    CHECK(cudaFree(device));
    CHECK(cudaFree(out));
}

__global__ void read_layers(cudaTextureObject_t layers, cudaTextureObject_t cube, cudaTextureObject_t volume, cudaTextureObject_t row, float *out) {
    int level = threadIdx.x;
    out[level * 4] = tex2DLayeredLod<float>(layers, 0.1f, 0.1f, 2, level);
    out[level * 4 + 1] = texCubemapLod<float>(cube, -0.2f, 0.2f, -1, level);
    out[level * 4 + 2] = tex3DLod<float>(volume, 0.1f, 0.1f, 0.9f, level);
    out[level * 4 + 3] = tex1DLod<float>(row, 0.1f, level);
}

/* Every plane of every level gets a number of its own by a copy that names it. */
static void fill(cudaMipmappedArray_t array, int levels, float first) {
    for (int number = 0; number < levels; number++) {
        cudaArray_t level;
        cudaExtent extent;
        CHECK(cudaGetMipmappedArrayLevel(&level, array, number));
        CHECK(cudaArrayGetInfo(NULL, &extent, NULL, level));
        size_t rows = extent.height ? extent.height : 1, depth = extent.depth ? extent.depth : 1;
        for (size_t z = 0; z < depth; z++) {
            std::vector<float> numbers(extent.width * rows, first + number * 10 + z);
            cudaMemcpy3DParms copy;
            memset(&copy, 0, sizeof copy);
            copy.srcPtr = make_cudaPitchedPtr(numbers.data(), extent.width * 4, extent.width, rows);
            copy.dstArray = level;
            copy.dstPos = make_cudaPos(0, 0, z);
            copy.extent = make_cudaExtent(extent.width, rows, 1);
            copy.kind = cudaMemcpyHostToDevice;
            CHECK(cudaMemcpy3D(&copy));
        }
    }
}

static void shapes() {
    cudaMipmappedArray_t layers = make(make_cudaExtent(8, 8, 3), 4, cudaArrayLayered), cube = make(make_cudaExtent(8, 8, 6), 4, cudaArrayCubemap);
    cudaMipmappedArray_t volume = make(make_cudaExtent(8, 8, 8), 4, 0), row = make(make_cudaExtent(8, 0, 0), 4, 0);
    fill(layers, 4, 100);
    fill(cube, 4, 200);
    fill(volume, 4, 300);
    fill(row, 4, 400);
    cudaTextureDesc texture = reading(cudaFilterModePoint, cudaFilterModePoint);
    cudaTextureObject_t objects[] = {over(layers, texture), over(cube, texture), over(volume, texture), over(row, texture)};
    float *out = device_copy(std::vector<float>(16));
    read_layers<<<1, 4>>>(objects[0], objects[1], objects[2], objects[3], out);
    float got[16];
    CHECK(cudaMemcpy(got, out, sizeof got, cudaMemcpyDeviceToHost));
    for (int level = 0; level < 4; level++) {
        EXPECT(got[level * 4] == 100 + level * 10 + 2 && got[level * 4 + 1] == 200 + level * 10 + 5);
        EXPECT(got[level * 4 + 2] == 300 + level * 10 + (7 >> level) && got[level * 4 + 3] == 400 + level * 10);
    }

    /* From one level to another array, box by box. */
    cudaArray_t level, copy;
    cudaChannelFormatDesc channel = cudaCreateChannelDesc<float>();
    CHECK(cudaGetMipmappedArrayLevel(&level, layers, 1));
    CHECK(cudaMalloc3DArray(&copy, &channel, make_cudaExtent(4, 4, 2), cudaArrayLayered));
    cudaMemcpy3DParms box;
    memset(&box, 0, sizeof box);
    box.srcArray = level;
    box.srcPos = make_cudaPos(0, 0, 1);
    box.dstArray = copy;
    box.extent = make_cudaExtent(4, 4, 2);
    box.kind = cudaMemcpyDeviceToDevice;
    CHECK(cudaMemcpy3D(&box));
    float numbers[32];
    memset(&box, 0, sizeof box);
    box.srcArray = copy;
    box.dstPtr = make_cudaPitchedPtr(numbers, 16, 4, 4);
    box.extent = make_cudaExtent(4, 4, 2);
    box.kind = cudaMemcpyDeviceToHost;
    CHECK(cudaMemcpy3D(&box));
    for (int i = 0; i < 32; i++) EXPECT(numbers[i] == 111 + i / 16);
    CHECK(cudaFreeArray(copy));
    for (cudaTextureObject_t object : objects) CHECK(cudaDestroyTextureObject(object));
    for (cudaMipmappedArray_t array : {layers, cube, volume, row}) CHECK(cudaFreeMipmappedArray(array));
    CHECK(cudaFree(out));
}

#if CUDART_VERSION >= 13000
/* Boxes between memory and levels, many in one call. */
static void batches() {
    cudaMipmappedArray_t array = make(make_cudaExtent(8, 8, 3), 2, cudaArrayLayered);
    cudaArray_t level;
    CHECK(cudaGetMipmappedArrayLevel(&level, array, 1));
    std::vector<float> from(4 * 4 * 3), to(6 * 5 * 2, -1);
    for (size_t i = 0; i < from.size(); i++) from[i] = (float)i;
    cudaStream_t stream;
    CHECK(cudaStreamCreate(&stream));
    cudaMemcpy3DBatchOp in, out;
    memset(&in, 0, sizeof in);
    in.src.type = cudaMemcpyOperandTypePointer;
    in.src.op.ptr.ptr = from.data();
    in.dst.type = cudaMemcpyOperandTypeArray;
    in.dst.op.array.array = level;
    in.extent = make_cudaExtent(4, 4, 3);
    in.srcAccessOrder = cudaMemcpySrcAccessOrderStream;
    CHECK(cudaMemcpy3DBatchAsync(1, &in, 0, stream));
    memset(&out, 0, sizeof out);
    out.src.type = cudaMemcpyOperandTypeArray;
    out.src.op.array.array = level;
    out.src.op.array.offset = {1, 2, 1};
    out.dst.type = cudaMemcpyOperandTypePointer;
    out.dst.op.ptr.ptr = to.data();
    out.dst.op.ptr.rowLength = 6;
    out.dst.op.ptr.layerHeight = 5;
    out.extent = make_cudaExtent(3, 2, 2);
    out.srcAccessOrder = cudaMemcpySrcAccessOrderStream;
    CHECK(cudaMemcpy3DBatchAsync(1, &out, 0, stream));
    CHECK(cudaStreamSynchronize(stream));
    for (int z = 0; z < 2; z++)
        for (int y = 0; y < 5; y++)
            for (int x = 0; x < 6; x++) EXPECT(to[(z * 5 + y) * 6 + x] == (x < 3 && y < 2 ? from[((z + 1) * 4 + y + 2) * 4 + x + 1] : -1));
    out.extent.width = 4;
    EXPECT(cudaMemcpy3DBatchAsync(1, &out, 0, stream) == cudaErrorInvalidValue);
    out.extent.width = 0;
    EXPECT(cudaMemcpy3DBatchAsync(1, &out, 0, stream) == cudaErrorInvalidValue);
    out.extent.width = 3;
    out.dst.op.ptr.rowLength = 2;
    EXPECT(cudaMemcpy3DBatchAsync(1, &out, 0, stream) == cudaErrorInvalidValue);
    EXPECT(cudaMemcpy3DBatchAsync(0, &in, 0, stream) == cudaErrorInvalidValue);
    cudaGetLastError();
    CHECK(cudaStreamDestroy(stream));
    CHECK(cudaFreeMipmappedArray(array));
}
#else
static void batches() {
}
#endif

static void mistakes() {
    cudaChannelFormatDesc channel = cudaCreateChannelDesc<float>();
    cudaMipmappedArray_t array;
    cudaArray_t level;
    EXPECT(cudaMallocMipmappedArray(NULL, &channel, make_cudaExtent(8, 8, 0), 2) == cudaErrorInvalidValue);
    EXPECT(cudaMallocMipmappedArray(&array, &channel, make_cudaExtent(0, 8, 0), 2) == cudaErrorInvalidValue);
    EXPECT(cudaMallocMipmappedArray(&array, &channel, make_cudaExtent((size_t)1 << 32, 8, 0), 2) == cudaErrorInvalidValue);
    EXPECT(cudaMallocMipmappedArray(&array, &channel, make_cudaExtent((size_t)-8, 0, 0), 2) == cudaErrorInvalidValue);
    EXPECT(cudaMallocMipmappedArray(&array, &channel, make_cudaExtent(8, 8, 5), 2, cudaArrayCubemap) == cudaErrorInvalidValue);
    EXPECT(cudaGetMipmappedArrayLevel(&level, NULL, 0) == cudaErrorInvalidResourceHandle);
    CHECK(cudaFreeMipmappedArray(NULL));
    array = make(make_cudaExtent(8, 8, 0), 2, 0);
    EXPECT(cudaGetMipmappedArrayLevel(&level, array, 2) == cudaErrorInvalidValue);
    cudaResourceDesc resource = all_of(array);
    cudaTextureDesc texture = reading(cudaFilterModePoint, cudaFilterModePoint);
    cudaTextureObject_t object;
    texture.normalizedCoords = 0;
    EXPECT(!is_borrowed() || cudaCreateTextureObject(&object, &resource, &texture, NULL) != cudaSuccess);
    texture.normalizedCoords = 1;
    cudaResourceViewDesc view;
    memset(&view, 0, sizeof view);
    view.width = view.height = 8;
    view.lastMipmapLevel = 2;
    EXPECT(cudaCreateTextureObject(&object, &resource, &texture, &view) != cudaSuccess);
    cudaGetLastError();
    CHECK(cudaFreeMipmappedArray(array));
    CHECK(cudaDeviceSynchronize());
}

int main() {
    planes();
    shapes();
    batches();
    mistakes();
    printf("ok\n");
    return 0;
}
