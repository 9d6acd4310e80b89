/* Numbers that stand for parts of their largest by their format, conversion from sRGB, and stores and reductions by which kernels leave the format to the surface. */
#include "check.h"

#include <cmath>

__global__ void fetch(cudaTextureObject_t texture, float4 *out) {
    out[threadIdx.x] = tex2D<float4>(texture, threadIdx.x + 0.5f, 0.5f);
}

static cudaTextureObject_t over(cudaArray_t array, bool is_srgb, cudaTextureReadMode mode) {
    cudaResourceDesc resource;
    cudaTextureDesc texture;
    cudaTextureObject_t object;
    memset(&resource, 0, sizeof resource);
    memset(&texture, 0, sizeof texture);
    resource.resType = cudaResourceTypeArray;
    resource.res.array.array = array;
    texture.addressMode[0] = texture.addressMode[1] = cudaAddressModeClamp;
    texture.readMode = mode;
    texture.sRGB = is_srgb;
    CHECK(cudaCreateTextureObject(&object, &resource, &texture, NULL));
    return object;
}

static cudaSurfaceObject_t on(cudaArray_t array) {
    cudaResourceDesc resource;
    cudaSurfaceObject_t object;
    memset(&resource, 0, sizeof resource);
    resource.resType = cudaResourceTypeArray;
    resource.res.array.array = array;
    CHECK(cudaCreateSurfaceObject(&object, &resource));
    return object;
}

static std::vector<float4> fetched(cudaTextureObject_t texture, int count) {
    float4 *out;
    std::vector<float4> got(count);
    CHECK(cudaMalloc(&out, count * sizeof(float4)));
    fetch<<<1, count>>>(texture, out);
    CHECK(cudaMemcpy(got.data(), out, count * sizeof(float4), cudaMemcpyDeviceToHost));
    CHECK(cudaFree(out));
    CHECK(cudaDestroyTextureObject(texture));
    return got;
}

static bool is_near(float a, double b) {
    return fabs(a - b) < 2e-3;
}

template <class T> static cudaArray_t array_of(cudaChannelFormatDesc channel, const std::vector<T> &texels, int height = 1) {
    cudaArray_t array;
    size_t width = texels.size() / height;
    CHECK(cudaMallocArray(&array, &channel, width, height, cudaArraySurfaceLoadStore));
    CHECK(cudaMemcpy2DToArray(array, 0, 0, texels.data(), width * sizeof(T), width * sizeof(T), height, cudaMemcpyHostToDevice));
    return array;
}

static void parts() {
    cudaChannelFormatDesc channel = cudaCreateChannelDesc<cudaChannelFormatKindUnsignedNormalized8X4>(), again;
    cudaArray_t array = array_of<uchar4>(channel, {{0, 51, 254, 255}, {255, 128, 1, 102}});
    CHECK(cudaGetChannelDesc(&again, array));
    EXPECT(again.f == cudaChannelFormatKindUnsignedNormalized8X4 && again.x == 8 && again.w == 8);
    std::vector<float4> got = fetched(over(array, false, cudaReadModeNormalizedFloat), 2);
    EXPECT(got[0].x == 0 && is_near(got[0].y, 0.2) && is_near(got[0].z, 254.0 / 255) && got[0].w == 1);
    EXPECT(got[1].x == 1 && is_near(got[1].w, 0.4));
    CHECK(cudaFreeArray(array));

    array = array_of<short2>(cudaCreateChannelDesc<cudaChannelFormatKindSignedNormalized16X2>(), {{-32768, 32767}, {-16384, 0}});
    got = fetched(over(array, false, cudaReadModeNormalizedFloat), 2);
    EXPECT(got[0].x == -1 && got[0].y == 1 && is_near(got[1].x, -0.5) && got[1].y == 0);
    CHECK(cudaFreeArray(array));

    channel.x = 16;
    EXPECT(cudaMallocArray(&array, &channel, 4, 4) != cudaSuccess);
    cudaGetLastError();
}

static double to_srgb(double part) {
    return 255 * (part <= 0.0031308 ? part * 12.92 : 1.055 * pow(part, 1 / 2.4) - 0.055);
}

/* Hardware may round to what half a byte makes, as Direct3D has it. */
static void expect_srgb(float got, int byte) {
    if (fabs(to_srgb(got) - byte) <= 0.5) return;
    printf("sRGB %d: %.6f, which would be %.3f\n", byte, got, to_srgb(got));
    exit(1);
}

static void srgb() {
    std::vector<uchar4> texels;
    for (int i = 0; i < 256; i++) texels.push_back(make_uchar4(i, 255 - i, i / 2, i));
    cudaArray_t array = array_of(cudaCreateChannelDesc<uchar4>(), texels);
    std::vector<float4> got = fetched(over(array, true, cudaReadModeNormalizedFloat), 256);
    for (int i = 0; i < 256; i++) {
        expect_srgb(got[i].x, i);
        expect_srgb(got[i].y, 255 - i);
        expect_srgb(got[i].z, i / 2);
        EXPECT(is_near(got[i].w, i / 255.0));
    }
    CHECK(cudaFreeArray(array));
}

/* Texels by their number along the row, and words by bytes. */
__global__ void store(cudaSurfaceObject_t surface, int x, int4 words) {
    asm volatile("sust.p.2d.v4.b32.trap [%0, {%1, %2}], {%3, %4, %5, %6};"
                 :: "l"(surface), "r"(x), "r"(0), "r"(words.x), "r"(words.y), "r"(words.z), "r"(words.w) : "memory");
}

__global__ void reduce(cudaSurfaceObject_t surface) {
    int i = threadIdx.x + blockIdx.x * blockDim.x + 1;
    asm volatile("sured.b.add.2d.u32.trap [%0, {%1, %2}], %3;" :: "l"(surface), "r"(0), "r"(0), "r"(i) : "memory");
    asm volatile("sured.b.min.2d.s32.trap [%0, {%1, %2}], %3;" :: "l"(surface), "r"(4), "r"(0), "r"(-i) : "memory");
    asm volatile("sured.p.max.2d.b32.trap [%0, {%1, %2}], %3;" :: "l"(surface), "r"(2), "r"(0), "r"(i) : "memory");
    asm volatile("sured.b.or.2d.b32.zero [%0, {%1, %2}], %3;" :: "l"(surface), "r"(12), "r"(0), "r"(i) : "memory");
    asm volatile("sured.b.or.2d.b32.zero [%0, {%1, %2}], %3;" :: "l"(surface), "r"(-4), "r"(0), "r"(i) : "memory");
}

template <class T> static std::vector<T> stored(cudaChannelFormatDesc channel, int4 words) {
    cudaArray_t array = array_of(channel, std::vector<T>(4));
    cudaSurfaceObject_t surface = on(array);
    store<<<1, 1>>>(surface, 2, words);
    std::vector<T> got(4);
    CHECK(cudaMemcpy2DFromArray(got.data(), 4 * sizeof(T), array, 0, 0, 4 * sizeof(T), 1, cudaMemcpyDeviceToHost));
    CHECK(cudaDestroySurfaceObject(surface));
    CHECK(cudaFreeArray(array));
    return got;
}

static int bits(float value) {
    int word;
    memcpy(&word, &value, sizeof word);
    return word;
}

static void surfaces() {
    std::vector<uchar4> bytes = stored<uchar4>(cudaCreateChannelDesc<uchar4>(), make_int4(1, 2, 254, 255));
    EXPECT(bytes[2].x == 1 && bytes[2].y == 2 && bytes[2].z == 254 && bytes[2].w == 255 && bytes[1].x == 0 && bytes[3].x == 0);
    std::vector<short2> shorts = stored<short2>(cudaCreateChannelDesc<short2>(), make_int4(-5, 12345, 9, 9));
    EXPECT(shorts[2].x == -5 && shorts[2].y == 12345);
    bytes = stored<uchar4>(cudaCreateChannelDesc<cudaChannelFormatKindUnsignedNormalized8X4>(), make_int4(bits(1), bits(0.2f), bits(-3), bits(7)));
    EXPECT(bytes[2].x == 255 && bytes[2].y == 51 && bytes[2].z == 0 && bytes[2].w == 255);
    std::vector<unsigned short> halves = stored<unsigned short>(cudaCreateChannelDescHalf(), make_int4(bits(1.5f), 0, 0, 0));
    EXPECT(halves[2] == 0x3e00);
    std::vector<float> floats = stored<float>(cudaCreateChannelDesc<float>(), make_int4(bits(-2.25f), 0, 0, 0));
    EXPECT(floats[2] == -2.25f);

    cudaArray_t array = array_of(cudaCreateChannelDesc<int>(), std::vector<int>{7, 7, -7, 0});
    cudaSurfaceObject_t surface = on(array);
    reduce<<<4, 64>>>(surface);
    int got[4];
    CHECK(cudaMemcpy2DFromArray(got, sizeof got, array, 0, 0, sizeof got, 1, cudaMemcpyDeviceToHost));
    EXPECT(got[0] == 7 + 256 * 257 / 2 && got[1] == -256 && got[2] == 256 && got[3] == 511);
    CHECK(cudaDestroySurfaceObject(surface));
    CHECK(cudaFreeArray(array));
}

int main() {
    parts();
    srgb();
    surfaces();
    printf("ok\n");
    return 0;
}
