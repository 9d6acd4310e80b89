# PyTorch: a product of floats of 8 bits with a scale for each matrix, which is cuBLASLt's. A GPU before 8.9 has none.
import torch

if torch.cuda.get_device_capability() >= (8, 9):
    a = torch.randn(32, 64).to(torch.float8_e4m3fn)
    b = torch.randn(48, 64).to(torch.float8_e4m3fn).t()
    scales = torch.tensor(0.5), torch.tensor(4.0)
    for result in (torch.bfloat16, torch.float16, torch.float32):
        found = torch._scaled_mm(a.cuda(), b.cuda(), scale_a=scales[0].cuda(), scale_b=scales[1].cuda(), out_dtype=result)
        assert torch.allclose(found.float().cpu(), 2 * (a.float() @ b.float()), rtol=1e-2, atol=1e-1)
print("ok")
