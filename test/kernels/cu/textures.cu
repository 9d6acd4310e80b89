// Every way in which CUDA C fetches from textures and accesses surfaces, as the compiler writes it.
struct Textures {
    cudaTextureObject_t line, row, plane, volume, rows, planes, cube, cubes;
};

extern "C" __global__ void fetch_all(Textures t, float3 place, int layer, float *out) {
    float x = place.x, y = place.y, z = place.z;
    out[0] = tex1Dfetch<float>(t.line, (int)x);
    out[1] = tex1D<float>(t.row, x);
    out[2] = tex2D<float>(t.plane, x, y);
    out[3] = tex3D<float>(t.volume, x, y, z);
    out[4] = tex1DLayered<float>(t.rows, x, layer);
    out[5] = tex2DLayered<float>(t.planes, x, y, layer);
    out[6] = texCubemap<float>(t.cube, 1, y / 100, z / 100);
    out[7] = texCubemapLayered<float>(t.cubes, -1, y / 100, z / 100, layer);
    out[8] = tex2DLod<float>(t.plane, x, y, 2);
    out[9] = tex3DGrad<float>(t.volume, x, y, z, make_float4(1, 0, 0, 0), make_float4(0, 1, 0, 0));
    float4 corners = tex2Dgather<float4>(t.plane, x, y, 0);
    out[10] = corners.x, out[11] = corners.y, out[12] = corners.z, out[13] = corners.w;
}

struct Surfaces {
    cudaSurfaceObject_t row, plane, volume, rows, planes;
};

// Copies one element of each surface to another place of it, by way of `out`.
extern "C" __global__ void move_all(Surfaces s, int3 from, int3 to, float *out) {
    surf1Dwrite(out[0] = surf1Dread<float>(s.row, from.x * 4), s.row, to.x * 4);
    surf2Dwrite(out[1] = surf2Dread<float>(s.plane, from.x * 4, from.y), s.plane, to.x * 4, to.y);
    surf3Dwrite(out[2] = surf3Dread<float>(s.volume, from.x * 4, from.y, from.z, cudaBoundaryModeClamp), s.volume, to.x * 4, to.y, to.z);
    surf1DLayeredwrite(out[3] = surf1DLayeredread<float>(s.rows, from.x * 4, from.z), s.rows, to.x * 4, to.z);
    surf2DLayeredwrite(out[4] = surf2DLayeredread<float>(s.planes, from.x * 4, from.y, from.z), s.planes, to.x * 4, to.y, to.z);
    float2 pair = surf2Dread<float2>(s.plane, from.x / 2 * 8, from.y, cudaBoundaryModeZero);
    surf2Dwrite(make_float2(pair.y, pair.x), s.plane, from.x / 2 * 8, from.y, cudaBoundaryModeZero);
    out[5] = surf2Dread<float>(s.plane, -4, 0, cudaBoundaryModeZero);
}
