/* Copies and fills of rectangles and boxes. */
#include "check.h"

int main() {
    const size_t width = 50, height = 30, depth = 4;
    std::vector<unsigned char> host(width * height * depth), back(host.size());
    for (size_t i = 0; i < host.size(); i++) host[i] = (unsigned char)(i * 7);
    cudaPitchedPtr box;
    CHECK(cudaMalloc3D(&box, make_cudaExtent(width, height, depth)));
    CHECK(cudaMemset3D(box, 9, make_cudaExtent(width, height, depth)));
    cudaMemcpy3DParms in = {};
    in.srcPtr = make_cudaPitchedPtr(host.data(), width, width, height);
    in.dstPtr = box;
    in.extent = make_cudaExtent(width, height - 1, depth);
    in.kind = cudaMemcpyHostToDevice;
    CHECK(cudaMemcpy3D(&in));
    cudaMemcpy3DParms out = {};
    out.srcPtr = box;
    out.dstPtr = make_cudaPitchedPtr(back.data(), width, width, height);
    out.extent = make_cudaExtent(width, height, depth);
    out.kind = cudaMemcpyDeviceToHost;
    CHECK(cudaMemcpy3D(&out));
    for (size_t z = 0; z < depth; z++)
        for (size_t y = 0; y < height; y++)
            for (size_t x = 0; x < width; x++) {
                size_t i = (z * height + y) * width + x;
                EXPECT(back[i] == (y == height - 1 ? 9 : host[i]));
            }
    unsigned char *rows;
    size_t pitch;
    CHECK(cudaMallocPitch(&rows, &pitch, width, height));
    CHECK(cudaMemcpy2D(rows, pitch, host.data(), width, width, height, cudaMemcpyDefault));
    CHECK(cudaMemset2D(rows + 3, pitch, 1, 5, 6));
    CHECK(cudaMemcpy2D(back.data(), width, rows, pitch, width, height, cudaMemcpyDefault));
    for (size_t y = 0; y < height; y++)
        for (size_t x = 0; x < width; x++) EXPECT(back[y * width + x] == (y < 6 && x >= 3 && x < 8 ? 1 : host[y * width + x]));
    EXPECT(cudaMemcpy2D(rows, 10, host.data(), width, width, height, cudaMemcpyHostToDevice) == cudaErrorInvalidPitchValue);
    printf("ok\n");
    return 0;
}
