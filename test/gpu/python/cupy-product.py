# CuPy: a product of matrices, which is cuBLAS's.
import cupy

x = cupy.arange(10000, dtype=cupy.float32).reshape(100, 100) % 7
assert cupy.allclose(x @ x, cupy.asarray(x.get() @ x.get()))
print("ok")
