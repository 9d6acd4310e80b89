# cuda.bindings: a kernel compiled by NVRTC and launched by the driver API.
import numpy
from cuda.bindings import driver, nvrtc


def take(answer):
    assert int(answer[0]) == 0, answer
    return answer[1] if len(answer) == 2 else answer[1:]


source = b'extern "C" __global__ void twice(float *x) { x[blockIdx.x * blockDim.x + threadIdx.x] *= 2; }'
take(driver.cuInit(0))
device = take(driver.cuDeviceGet(0))
take(driver.cuCtxSetCurrent(take(driver.cuDevicePrimaryCtxRetain(device))))
attribute = driver.CUdevice_attribute
major = take(driver.cuDeviceGetAttribute(attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device))
minor = take(driver.cuDeviceGetAttribute(attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device))
program = take(nvrtc.nvrtcCreateProgram(source, b"twice.cu", 0, None, None))
take(nvrtc.nvrtcCompileProgram(program, 1, [f"--gpu-architecture=sm_{major}{minor}".encode()]))
image = b" " * take(nvrtc.nvrtcGetCUBINSize(program))
take(nvrtc.nvrtcGetCUBIN(program, image))
kernel = take(driver.cuModuleGetFunction(take(driver.cuModuleLoadData(numpy.frombuffer(image, numpy.uint8).ctypes.data)), b"twice"))
x = numpy.arange(2048, dtype=numpy.float32)
there, stream = take(driver.cuMemAlloc(x.nbytes)), take(driver.cuStreamCreate(0))
take(driver.cuMemcpyHtoDAsync(there, x.ctypes.data, x.nbytes, stream))
argument = numpy.array([int(there)], numpy.uint64)
pointers = numpy.array([argument.ctypes.data], numpy.uint64)
take(driver.cuLaunchKernel(kernel, 8, 1, 1, 256, 1, 1, 0, stream, pointers.ctypes.data, 0))
y = numpy.zeros_like(x)
take(driver.cuMemcpyDtoHAsync(y.ctypes.data, there, x.nbytes, stream))
take(driver.cuStreamSynchronize(stream))
assert (y == 2 * x).all()
print("ok")
