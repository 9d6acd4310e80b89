# numba: its own reduction, shared memory, atomics, streams and events.
import numpy

numpy.row_stack = numpy.vstack  # NumPy 2.5 has dropped it, and numba-cuda 0.30 counts on it.
from numba import cuda, float32

total = cuda.reduce(lambda x, y: x + y)


@cuda.jit
def sums(x, out):
    part = cuda.shared.array(256, float32)
    part[cuda.threadIdx.x] = x[cuda.grid(1)]
    cuda.syncthreads()
    if cuda.threadIdx.x == 0:
        for value in part:
            cuda.atomic.add(out, 0, value)


stream, begin, end, out = cuda.stream(), cuda.event(), cuda.event(), numpy.zeros(1, numpy.float32)
there = cuda.to_device(out, stream)
begin.record(stream)
sums[64, 256, stream](cuda.to_device(numpy.ones(64 * 256, numpy.float32), stream), there)
end.record(stream)
there.copy_to_host(out, stream)
stream.synchronize()
assert out[0] == 64 * 256 and begin.elapsed_time(end) >= 0
assert total(numpy.arange(10000, dtype=numpy.float64)) == 49995000
print("ok")
