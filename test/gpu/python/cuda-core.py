# cuda.core: a kernel compiled by NVRTC, memory of its own pool, a stream.
import numpy

try:
    from cuda.core import Device, LaunchConfig, Program, ProgramOptions, launch
except ImportError:
    from cuda.core.experimental import Device, LaunchConfig, Program, ProgramOptions, launch

device = Device()
device.set_current()
stream = device.create_stream()
capability = device.compute_capability
options = ProgramOptions(arch=f"sm_{capability.major}{capability.minor}")
source = 'extern "C" __global__ void fill(int *x) { int i = blockIdx.x * blockDim.x + threadIdx.x; x[i] = 3 * i; }'
kernel = Program(source, "c++", options).compile("cubin").get_kernel("fill")
there = device.allocate(4096, stream=stream)
launch(stream, LaunchConfig(grid=4, block=256), kernel, there)
stream.sync()
from cuda.bindings import driver

x = numpy.zeros(1024, numpy.int32)
assert int(driver.cuMemcpyDtoH(x.ctypes.data, int(there.handle), 4096)[0]) == 0
assert (x == 3 * numpy.arange(1024)).all()
print("ok")
