# PyTorch on cuFFT: transforms in one to three dimensions, of complex and real numbers, there and back, in double and half precision, of strided data, in a stream and by a
# graph, with their gradients. What comes of them is the CPU's.
import torch
from torch import fft

torch.manual_seed(0)
lines, images = torch.randn(6, 96, dtype=torch.complex64), torch.randn(3, 30, 40)
blocks = torch.randn(2, 8, 9, 10, dtype=torch.complex128)


def same(f, x, tolerance=1e-4):
    assert torch.allclose(f(x.cuda()).cpu(), f(x), rtol=tolerance, atol=tolerance), (f, x.shape)


for norm in ("backward", "ortho", "forward"):
    for f in (fft.fft, fft.ifft, fft.fft2, fft.ifft2):
        same(lambda x: f(x, norm=norm), lines)
same(lambda x: fft.ifftn(fft.fftn(x, dim=(1, 2, 3)), dim=(1, 2, 3)), blocks, 1e-9)
same(lambda x: fft.fft(x, dim=0), lines)
same(lambda x: fft.fft(x.t(), dim=0), lines)
for n in (30, 31, 64, 1009):
    same(lambda x: fft.rfft(x, n=n), images)
    same(lambda x: fft.irfft(fft.rfft(x, n=n), n=n), images)
    same(lambda x: fft.hfft(fft.ihfft(x, n=n), n=n), images)
same(lambda x: fft.irfft2(fft.rfft2(x), s=(30, 40)), images)
same(fft.fftshift, images)

half = torch.randn(4, 64)
found = fft.rfft(half.half().cuda()).cpu().to(torch.complex64)
assert torch.allclose(found, fft.rfft(half), rtol=2e-2, atol=5e-2)


def gradient(x):
    x = x.clone().requires_grad_()
    fft.rfft2(x).abs().square().sum().backward()
    return x.grad


same(gradient, images, 1e-2)

x = lines.cuda()
stream = torch.cuda.Stream()
with torch.cuda.stream(stream):
    stream.wait_stream(torch.cuda.default_stream())
    fft.fft(x)
torch.cuda.default_stream().wait_stream(stream)
graph = torch.cuda.CUDAGraph()
with torch.cuda.graph(graph):
    y = fft.ifft(fft.fft(x) * 2)
x.copy_(lines.flip(0))
graph.replay()
assert torch.allclose(y.cpu(), lines.flip(0) * 2, atol=1e-4)

# A plan for each length, which the cache lets go one after the other.
for n in range(1, 200):
    fft.fft(x, n=n)
torch.backends.cuda.cufft_plan_cache.clear()
same(fft.fft, lines)
print("ok")
