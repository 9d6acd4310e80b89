# numba: what launches and copies of 64 MiB take, told as `figure VALUE UNIT NAME`.
import statistics
import time

import numpy

numpy.row_stack = numpy.vstack  # NumPy 2.5 has dropped it, and numba-cuda 0.30 counts on it.
from numba import cuda

COUNT, BYTES = 2000, 64 << 20


@cuda.jit
def touch(x):
    x[0] = 1


def seconds(work):
    def once():
        start = time.perf_counter()
        work()
        cuda.synchronize()
        return time.perf_counter() - start

    once()
    return statistics.median(once() for _ in range(5))


def launch(count):
    for _ in range(count):
        touch[1, 32](there)


host = numpy.arange(BYTES // 4, dtype=numpy.float32)
there = cuda.to_device(host)
print("figure", COUNT / seconds(lambda: launch(COUNT)), "1/s", "launches")
print("figure", seconds(lambda: launch(1)) * 1e6, "us", "launch and synchronise")
print("figure", BYTES / seconds(lambda: there.copy_to_device(host)) / 1e9, "GB/s", "copies to the device")
print("figure", BYTES / seconds(lambda: there.copy_to_host(host)) / 1e9, "GB/s", "copies from the device")
assert host[-1] == BYTES // 4 - 1
print("ok")
