# A pool of two workers that are processes of their own, each with a session, beside the parent's. Asks the driver itself: no package is needed.
import ctypes
import multiprocessing
import os

driver = ctypes.CDLL("libcuda.so.1")


def work(number, barrier):
    """Copies a number to the device and back while the others are at work too."""
    context, address = ctypes.c_void_p(), ctypes.c_uint64()
    results = [
        driver.cuInit(0),
        driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0),
        driver.cuCtxSetCurrent(context),
        driver.cuMemAlloc_v2(ctypes.byref(address), ctypes.c_size_t(4)),
    ]
    there, back = ctypes.c_int(number), ctypes.c_int(0)
    barrier.wait(20)
    results.append(driver.cuMemcpyHtoD_v2(address, ctypes.byref(there), ctypes.c_size_t(4)))
    barrier.wait(20)
    results.append(driver.cuMemcpyDtoH_v2(ctypes.byref(back), address, ctypes.c_size_t(4)))
    if results != [0] * len(results) or back.value != number:
        raise SystemExit(f"process {os.getpid()} gets {results} and {back.value}")


if __name__ == "__main__":
    spawning = multiprocessing.get_context("spawn")
    barrier = spawning.Barrier(3)
    workers = [spawning.Process(target=work, args=(number, barrier)) for number in (1, 2)]
    for worker in workers:
        worker.start()
    work(3, barrier)
    for worker in workers:
        worker.join()
    print("ok" if all(worker.exitcode == 0 for worker in workers) else "failed")
