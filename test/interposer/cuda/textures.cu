/* Texture objects over lines and rows of memory, and over arrays: formats, read modes, address modes, filters, and what is said of them. */
#include "check.h"

#include <cmath>
#include <cuda_fp16.h>

#define WIDTH 37
#define HEIGHT 19

template <class T> __global__ void fetch_line(cudaTextureObject_t texture, T *out, int first, int count) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) out[i] = tex1Dfetch<T>(texture, first + i);
}

template <class T> __global__ void fetch_rows(cudaTextureObject_t texture, T *out, const float2 *places, int count) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) out[i] = tex2D<T>(texture, places[i].x, places[i].y);
}

static cudaTextureDesc plain() {
    cudaTextureDesc texture;
    memset(&texture, 0, sizeof texture);
    for (auto &mode : texture.addressMode) mode = cudaAddressModeClamp;
    return texture;
}

template <class T> static T *upload(const std::vector<T> &data) {
    T *device;
    CHECK(cudaMalloc(&device, data.size() * sizeof(T)));
    CHECK(cudaMemcpy(device, data.data(), data.size() * sizeof(T), cudaMemcpyHostToDevice));
    return device;
}

template <class T> static std::vector<T> download(const T *device, size_t count) {
    std::vector<T> data(count);
    CHECK(cudaMemcpy(data.data(), device, count * sizeof(T), cudaMemcpyDeviceToHost));
    return data;
}

/* The texel that stands for one that may be outside, or -1 for the border. */
static int fold(int i, int n, cudaTextureAddressMode mode) {
    if (i >= 0 && i < n) return i;
    if (mode == cudaAddressModeBorder) return -1;
    if (mode == cudaAddressModeWrap) return (i % n + n) % n;
    return i < 0 ? 0 : n - 1;
}

static float scaled(float x, int n, cudaTextureAddressMode mode) {
    double whole = floor(x), part = x - whole;
    if (mode == cudaAddressModeWrap) return (float)(part * n);
    if (mode == cudaAddressModeMirror) return (float)((fmod(whole, 2) == 0 ? part : 1 - part) * n);
    return x * n;
}

static void lines() {
    const int count = 1000;
    std::vector<int2> numbers(count);
    for (int i = 0; i < count; i++) numbers[i] = make_int2(i * 7 - 3000, -i);
    /* An allocation is where a texture may begin, whatever lies before it. */
    char *odd = upload(std::vector<char>(1));
    int2 *memory = upload(numbers), *out = upload(std::vector<int2>(count + 20));
    cudaResourceDesc resource;
    memset(&resource, 0, sizeof resource);
    resource.resType = cudaResourceTypeLinear;
    resource.res.linear.devPtr = memory;
    resource.res.linear.desc = cudaCreateChannelDesc<int2>();
    resource.res.linear.sizeInBytes = count * sizeof(int2);
    cudaTextureDesc texture = plain();
    cudaTextureObject_t object = 0;
    CHECK(cudaCreateTextureObject(&object, &resource, &texture, NULL));
    EXPECT(object != 0);
    fetch_line<int2><<<8, 128>>>(object, out, -10, count + 20);
    std::vector<int2> got = download(out, count + 20);
    for (int i = -10; i < count + 10; i++) {
        int2 want = i >= 0 && i < count ? numbers[i] : make_int2(0, 0);
        EXPECT(got[i + 10].x == want.x && got[i + 10].y == want.y);
    }

    cudaResourceDesc resource_again;
    cudaTextureDesc texture_again;
    cudaResourceViewDesc view;
    CHECK(cudaGetTextureObjectResourceDesc(&resource_again, object));
    CHECK(cudaGetTextureObjectTextureDesc(&texture_again, object));
    EXPECT(resource_again.resType == cudaResourceTypeLinear && resource_again.res.linear.devPtr == memory);
    EXPECT(resource_again.res.linear.desc.x == 32 && resource_again.res.linear.desc.y == 32 && resource_again.res.linear.desc.z == 0);
    EXPECT(resource_again.res.linear.desc.f == cudaChannelFormatKindSigned && resource_again.res.linear.sizeInBytes == count * sizeof(int2));
    EXPECT(texture_again.readMode == cudaReadModeElementType && texture_again.addressMode[1] == cudaAddressModeClamp);
    EXPECT(!is_borrowed() || cudaGetTextureObjectResourceViewDesc(&view, object) == cudaErrorInvalidValue);
    cudaGetLastError();
    size_t widest = 0;
    cudaChannelFormatDesc bytes = cudaCreateChannelDesc<unsigned char>();
    CHECK(cudaDeviceGetTexture1DLinearMaxWidth(&widest, &bytes, 0));
    EXPECT(widest >= count);
    CHECK(cudaDestroyTextureObject(object));
    CHECK(cudaFree(odd));
    CHECK(cudaFree(memory));
    CHECK(cudaFree(out));
}

/* Places on texels and between them, inside and outside; their coordinates are exact in the weights of filtering. */
static std::vector<float2> places_for(bool is_normalized) {
    std::vector<float2> places;
    for (int y = -8; y < HEIGHT * 2; y += 3)
        for (int x = -11; x < WIDTH * 2; x += 4) {
            float2 place = make_float2(x + 0.5f + (x & 3) * 0.25f, y + 0.5f + (y & 3) * 0.125f);
            places.push_back(is_normalized ? make_float2(place.x / 64, place.y / 32) : place);
        }
    return places;
}

static void rows(cudaTextureAddressMode mode, cudaTextureFilterMode filter, bool is_normalized) {
    /* Powers of two, so that normalised coordinates are exact. */
    const int width = is_normalized ? 64 : WIDTH, height = is_normalized ? 32 : HEIGHT;
    std::vector<float> numbers(width * height);
    for (int i = 0; i < width * height; i++) numbers[i] = (float)((i * 37) % 257) / 4;
    float *memory;
    size_t pitch;
    CHECK(cudaMallocPitch(&memory, &pitch, width * sizeof(float), height));
    CHECK(cudaMemcpy2D(memory, pitch, numbers.data(), width * sizeof(float), width * sizeof(float), height, cudaMemcpyHostToDevice));
    cudaResourceDesc resource;
    memset(&resource, 0, sizeof resource);
    resource.resType = cudaResourceTypePitch2D;
    resource.res.pitch2D.devPtr = memory;
    resource.res.pitch2D.desc = cudaCreateChannelDesc<float>();
    resource.res.pitch2D.width = width;
    resource.res.pitch2D.height = height;
    resource.res.pitch2D.pitchInBytes = pitch;
    cudaTextureDesc texture = plain();
    texture.addressMode[0] = texture.addressMode[1] = mode;
    texture.filterMode = filter;
    texture.normalizedCoords = is_normalized;
    texture.borderColor[0] = 4096;
    cudaTextureObject_t object;
    CHECK(cudaCreateTextureObject(&object, &resource, &texture, NULL));
    std::vector<float2> places = places_for(is_normalized);
    float2 *places_device = upload(places);
    float *out = upload(std::vector<float>(places.size()));
    fetch_rows<float><<<(unsigned)(places.size() + 63) / 64, 64>>>(object, out, places_device, (int)places.size());
    std::vector<float> got = download(out, places.size());
    auto texel = [&](int x, int y) {
        x = fold(x, width, mode), y = fold(y, height, mode);
        return x < 0 || y < 0 ? texture.borderColor[0] : numbers[y * width + x];
    };
    for (size_t i = 0; i < places.size(); i++) {
        float x = is_normalized ? scaled(places[i].x, width, mode) : places[i].x;
        float y = is_normalized ? scaled(places[i].y, height, mode) : places[i].y;
        float want;
        if (filter == cudaFilterModePoint) {
            want = texel((int)floorf(x), (int)floorf(y));
        } else {
            float bx = x - 0.5f, by = y - 0.5f;
            int u = (int)floorf(bx), v = (int)floorf(by);
            float a = roundf((bx - u) * 256) / 256, b = roundf((by - v) * 256) / 256;
            want = (1 - a) * (1 - b) * texel(u, v) + a * (1 - b) * texel(u + 1, v) + (1 - a) * b * texel(u, v + 1) + a * b * texel(u + 1, v + 1);
        }
        if (fabsf(got[i] - want) > 0.01f) {
            printf("mode %d filter %d normalized %d at (%g, %g): %g, expected %g\n", mode, filter, is_normalized, places[i].x, places[i].y, got[i], want);
            exit(1);
        }
    }
    CHECK(cudaDestroyTextureObject(object));
    CHECK(cudaFree(memory));
    CHECK(cudaFree(places_device));
    CHECK(cudaFree(out));
}

/* One texel of a format, read through an array of two dimensions. */
template <class T, class R> static R read_one(T texel, cudaTextureReadMode read) {
    cudaChannelFormatDesc channel = cudaCreateChannelDesc<T>();
    cudaArray_t array;
    CHECK(cudaMallocArray(&array, &channel, 4, 4));
    std::vector<T> texels(16);
    texels[6] = texel;
    CHECK(cudaMemcpy2DToArray(array, 0, 0, texels.data(), 4 * sizeof(T), 4 * sizeof(T), 4, cudaMemcpyHostToDevice));
    cudaResourceDesc resource;
    memset(&resource, 0, sizeof resource);
    resource.resType = cudaResourceTypeArray;
    resource.res.array.array = array;
    cudaTextureDesc texture = plain();
    texture.readMode = read;
    cudaTextureObject_t object;
    CHECK(cudaCreateTextureObject(&object, &resource, &texture, NULL));
    float2 *place = upload(std::vector<float2>{make_float2(2.5f, 1.5f)});
    R *out = upload(std::vector<R>(1));
    fetch_rows<R><<<1, 1>>>(object, out, place, 1);
    R got = download(out, 1)[0];
    CHECK(cudaDestroyTextureObject(object));
    CHECK(cudaFreeArray(array));
    CHECK(cudaFree(place));
    CHECK(cudaFree(out));
    return got;
}

static bool is_near(float a, double b) {
    return fabs(a - b) < 1e-5;
}

static void formats() {
    const cudaTextureReadMode elements = cudaReadModeElementType, parts = cudaReadModeNormalizedFloat;
    uchar4 bytes = read_one<uchar4, uchar4>(make_uchar4(1, 2, 254, 255), elements);
    EXPECT(bytes.x == 1 && bytes.y == 2 && bytes.z == 254 && bytes.w == 255);
    float4 part = read_one<uchar4, float4>(make_uchar4(0, 51, 254, 255), parts);
    EXPECT(part.x == 0 && is_near(part.y, 0.2) && is_near(part.z, 254.0 / 255) && part.w == 1);
    EXPECT((read_one<signed char, signed char>(-7, elements)) == -7);
    EXPECT((read_one<signed char, float>(-128, parts)) == -1 && is_near(read_one<signed char, float>(-64, parts), -64.0 / 127));
    short2 shorts = read_one<short2, short2>(make_short2(-32768, 12345), elements);
    EXPECT(shorts.x == -32768 && shorts.y == 12345);
    float2 half_parts = read_one<ushort2, float2>(make_ushort2(65535, 13107), parts);
    EXPECT(half_parts.x == 1 && is_near(half_parts.y, 0.2));
    EXPECT(is_near(read_one<short, float>(-16384, parts), -16384.0 / 32767));
    EXPECT((read_one<unsigned, unsigned>(4000000000u, elements)) == 4000000000u && (read_one<int, int>(-5, elements)) == -5);
    int4 ints = read_one<int4, int4>(make_int4(1, -2, 3, -4), elements);
    EXPECT(ints.x == 1 && ints.y == -2 && ints.z == 3 && ints.w == -4);
    float4 floats = read_one<float4, float4>(make_float4(1.5f, -2.25f, 1e30f, 0), elements);
    EXPECT(floats.x == 1.5f && floats.y == -2.25f && floats.z == 1e30f && floats.w == 0);
}

static void halves() {
    cudaChannelFormatDesc channel = cudaCreateChannelDescHalf2();
    cudaArray_t array;
    CHECK(cudaMallocArray(&array, &channel, 2, 2));
    __half2 texels[] = {__floats2half2_rn(1, 2), __floats2half2_rn(-0.5f, 4), __floats2half2_rn(6.1e-5f, 8), __floats2half2_rn(65504, 16)};
    CHECK(cudaMemcpy2DToArray(array, 0, 0, texels, 8, 8, 2, cudaMemcpyHostToDevice));
    cudaResourceDesc resource;
    memset(&resource, 0, sizeof resource);
    resource.res.array.array = array;
    cudaTextureDesc texture = plain();
    texture.filterMode = cudaFilterModeLinear;
    cudaTextureObject_t object;
    CHECK(cudaCreateTextureObject(&object, &resource, &texture, NULL));
    std::vector<float2> places = {{0.5f, 0.5f}, {1.5f, 0.5f}, {1.5f, 1.5f}, {1, 0.5f}};
    float2 *places_device = upload(places), *out = upload(std::vector<float2>(4));
    fetch_rows<float2><<<1, 4>>>(object, out, places_device, 4);
    std::vector<float2> got = download(out, 4);
    EXPECT(got[0].x == 1 && got[0].y == 2 && got[1].x == -0.5f && got[2].x == 65504 && got[2].y == 16 && got[3].x == 0.25f && got[3].y == 3);
    CHECK(cudaDestroyTextureObject(object));
    CHECK(cudaFreeArray(array));
    CHECK(cudaFree(places_device));
    CHECK(cudaFree(out));
}

/* What is wrong is told at once, and costs nothing. */
static void mistakes() {
    unsigned *memory = upload(std::vector<unsigned>(4096));
    cudaResourceDesc resource;
    memset(&resource, 0, sizeof resource);
    resource.resType = cudaResourceTypePitch2D;
    resource.res.pitch2D.devPtr = memory;
    resource.res.pitch2D.desc = cudaCreateChannelDesc<unsigned>();
    resource.res.pitch2D.width = 64;
    resource.res.pitch2D.height = 64;
    resource.res.pitch2D.pitchInBytes = 256;
    cudaTextureDesc texture = plain();
    cudaTextureObject_t object;
    CHECK(cudaCreateTextureObject(&object, &resource, &texture, NULL));
    CHECK(cudaDestroyTextureObject(object));
    texture.filterMode = cudaFilterModeLinear;
    EXPECT(cudaCreateTextureObject(&object, &resource, &texture, NULL) == cudaErrorInvalidFilterSetting);
    texture.filterMode = cudaFilterModePoint;
    texture.readMode = cudaReadModeNormalizedFloat;
    EXPECT(cudaCreateTextureObject(&object, &resource, &texture, NULL) == cudaErrorInvalidNormSetting);
    texture.readMode = cudaReadModeElementType;
    resource.res.pitch2D.pitchInBytes = 255;
    EXPECT(cudaCreateTextureObject(&object, &resource, &texture, NULL) != cudaSuccess);
    resource.res.pitch2D.pitchInBytes = 256;
    resource.res.pitch2D.devPtr = (char *)memory + 4;
    EXPECT(cudaCreateTextureObject(&object, &resource, &texture, NULL) != cudaSuccess);
    resource.res.pitch2D.devPtr = memory;
    resource.res.pitch2D.desc.y = 16;
    EXPECT(cudaCreateTextureObject(&object, &resource, &texture, NULL) != cudaSuccess);
    EXPECT(cudaCreateTextureObject(NULL, &resource, &texture, NULL) == cudaErrorInvalidValue);
    cudaGetLastError();
    CHECK(cudaDeviceSynchronize());
    CHECK(cudaFree(memory));
}

int main() {
    lines();
    const cudaTextureFilterMode filters[] = {cudaFilterModePoint, cudaFilterModeLinear};
    for (cudaTextureFilterMode filter : filters) {
        rows(cudaAddressModeClamp, filter, false);
        rows(cudaAddressModeBorder, filter, false);
        rows(cudaAddressModeClamp, filter, true);
        rows(cudaAddressModeBorder, filter, true);
        rows(cudaAddressModeWrap, filter, true);
        rows(cudaAddressModeMirror, filter, true);
    }
    formats();
    halves();
    mistakes();
    printf("ok\n");
    return 0;
}
