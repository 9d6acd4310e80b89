# numba: a kernel in Python, compiled as it runs.
import numpy

numpy.row_stack = numpy.vstack  # NumPy 2.5 has dropped it, and numba-cuda 0.30 counts on it.
from numba import cuda


@cuda.jit
def saxpy(a, x, y):
    i = cuda.grid(1)
    if i < y.size:
        y[i] += a * x[i]


x, y = numpy.arange(100000, dtype=numpy.float32), numpy.ones(100000, dtype=numpy.float32)
there = cuda.to_device(y)
saxpy[400, 256](numpy.float32(2), cuda.to_device(x), there)
assert (there.copy_to_host() == 2 * x + y).all()
print("ok")
