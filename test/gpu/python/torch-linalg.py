# PyTorch's torch.linalg, by cuSOLVER and cuBLAS: factorisations, solves, inverses, eigenvalues, singular values of all types, alone and in batches, against the CPU or
# by what they are to give back.
import torch

L = torch.linalg
torch.manual_seed(0)


def near(found, wanted, what, by):
    assert torch.allclose(found.cpu(), wanted, rtol=by, atol=by), what


def check(dtype, n, batch):
    by = 2e-3 if dtype in (torch.float32, torch.complex64) else 1e-8
    a = torch.randn(*batch, n, n, dtype=dtype) + 3 * torch.eye(n, dtype=dtype)
    b, tall = torch.randn(*batch, n, 3, dtype=dtype), torch.randn(*batch, 2 * n, n, dtype=dtype)
    h = a @ a.mH + torch.eye(n, dtype=dtype)
    on = {name: value.cuda() for name, value in (("a", a), ("b", b), ("tall", tall), ("h", h))}
    near(L.solve(on["a"], on["b"]), L.solve(a, b), "solve", by)
    near(L.inv(on["a"]) @ on["a"], torch.eye(n, dtype=dtype).expand_as(a), "inv", by)
    near(L.det(on["a"] / 4), L.det(a / 4), "det", by * 10)
    p, l, u = L.lu(on["a"])
    near(p @ l @ u, a, "lu", by)
    near(L.cholesky(on["h"]), L.cholesky(h), "cholesky", by * 10)
    near(torch.cholesky_solve(on["b"], L.cholesky(on["h"])), L.solve(h, b), "cholesky_solve", by * 10)
    for mode in ("reduced", "complete"):
        q, r = L.qr(on["tall"], mode=mode)
        near(q @ r, tall, "qr", by)
        near(q.mH @ q, torch.eye(q.shape[-1], dtype=dtype).expand(*batch, -1, -1), "qr, orthogonal", by)
    high = torch.cat([b, b], -2)
    near(L.lstsq(on["tall"], high.cuda()).solution, L.lstsq(tall, high).solution, "lstsq", by)
    w, v = L.eigh(on["h"])
    near(w, L.eigvalsh(h), "eigh", by * 30)
    near(v @ torch.diag_embed(w.to(dtype)) @ v.mH, h, "eigh, vectors", by * 30)
    for driver in ("gesvd", "gesvdj", "gesvda"):
        u, s, vh = L.svd(on["tall"], full_matrices=False, driver=driver)
        near(s, L.svdvals(tall), driver, by * 10)
        near(u @ torch.diag_embed(s.to(dtype)) @ vh, tall, f"{driver}, vectors", by * 10)
    w, v = L.eig(on["a"])
    near(v @ torch.diag_embed(w), a.to(w.dtype) @ v.cpu(), "eig", by * 10)
    ld, pivots = L.ldl_factor(on["a"] + on["a"].mT)
    near(L.ldl_solve(ld, pivots, on["b"]), L.solve(a + a.mT, b), "ldl_solve", by * 10)


for dtype in (torch.float32, torch.float64, torch.complex64, torch.complex128):
    for n, batch in ((5, ()), (40, ()), (6, (3,)), (20, (12,))):
        check(dtype, n, batch)
print("ok")
