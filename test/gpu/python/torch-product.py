# PyTorch: a linear layer, whose product is cuBLAS's, which Sluice's own library stands in for.
import torch

layer = torch.nn.Linear(64, 32).cuda()
x = torch.randn(16, 64)
assert torch.allclose(layer(x.cuda()).cpu(), layer.cpu()(x), atol=1e-3)
print("ok")
