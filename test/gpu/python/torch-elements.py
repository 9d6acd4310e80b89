# PyTorch: tensors, element by element, reductions, a sort, gradients.
import torch

x = torch.arange(10000, device="cuda", dtype=torch.float32)
assert (2 * x + 1).sum().item() == 10000.0 * 10000
assert torch.equal(x.flip(0).sort().values.cpu(), torch.arange(10000.0))
w = torch.ones(10000, device="cuda", requires_grad=True)
(w * x).sin().sum().backward()
assert torch.allclose(w.grad.cpu(), (x * x.cos()).cpu(), rtol=1e-3, atol=0.5)
print("ok")
