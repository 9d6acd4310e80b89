# Triton: a kernel on PyTorch's tensors.
import torch
import triton
import triton.language as tl


@triton.jit
def add(x, y, out, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out + at, tl.load(x + at, at < n) + tl.load(y + at, at < n), at < n)


x, y = torch.arange(10000.0, device="cuda"), torch.ones(10000, device="cuda")
out = torch.empty_like(x)
add[(triton.cdiv(10000, 256),)](x, y, out, 10000, BLOCK=256)
assert torch.equal(out.cpu(), torch.arange(10000.0) + 1)
print("ok")
