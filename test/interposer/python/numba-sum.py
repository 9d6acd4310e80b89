# A program of numba's CUDA target: a kernel compiled at run time, a reduction, and the memory that it is shown.
import numpy
from numba import cuda


@cuda.jit
def scaled_sum(a, b, c, factor):
    i = cuda.grid(1)
    if i < c.size:
        c[i] = a[i] + factor * b[i]


@cuda.reduce
def total(x, y):
    return x + y


n = 10000
a = numpy.arange(n, dtype=numpy.float32)
b = numpy.ones(n, dtype=numpy.float32)
c = cuda.device_array(n, dtype=numpy.float32)
scaled_sum[(n + 255) // 256, 256](cuda.to_device(a), cuda.to_device(b), c, 2.0)
assert numpy.allclose(c.copy_to_host(), a + 2 * b)
assert total(numpy.arange(1000, dtype=numpy.float64)) == 499500
free, size = cuda.current_context().get_memory_info()
assert 0 < free <= size
print("ok")
