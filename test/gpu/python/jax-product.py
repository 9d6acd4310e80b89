# JAX: a product of matrices and what it fuses around one.
import os

os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
import jax
import jax.numpy as jnp
import numpy

assert jax.devices()[0].platform == "gpu", jax.devices()
x = numpy.arange(10000, dtype=numpy.float32).reshape(100, 100) % 7
y = jax.jit(lambda x: jnp.tanh(x @ x / 1000))(x)
assert numpy.allclose(y, numpy.tanh(x @ x / 1000), atol=1e-3)
print("ok")
