# PyTorch: products of i8 into i32, which are cuBLASLt's and exact.
import torch

a = torch.randint(-128, 128, (32, 64), dtype=torch.int8)
b = torch.randint(-128, 128, (48, 64), dtype=torch.int8).t()
expected = a.int() @ b.int()
assert torch.equal(torch._int_mm(a.cuda(), b.cuda()).cpu(), expected)
print("ok")
