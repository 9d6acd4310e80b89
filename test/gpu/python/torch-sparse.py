# PyTorch's sparse matrices, by cuSPARSE: products with vectors, dense and sparse matrices, sums, triangular solves and sampled products, of rows (CSR), blocks of rows (BSR)
# and coordinates (COO), with 32-bit and 64-bit indices, and their gradients. Against the same in dense matrices on the CPU.
import torch

torch.manual_seed(0)


def dense(x):
    x = x.cpu()
    return x if x.layout == torch.strided else x.to_dense()


def near(found, wanted, what, by):
    assert torch.allclose(dense(found), wanted, rtol=by, atol=by), what


def some(rows, columns, dtype, part=0.4):
    return torch.randn(rows, columns, dtype=dtype) * (torch.rand(rows, columns) < part)


def rows_of(x, index):
    csr = x.to_sparse_csr()
    return torch.sparse_csr_tensor(csr.crow_indices().to(index).cuda(), csr.col_indices().to(index).cuda(), csr.values().cuda(), x.shape)


def blocks_of(x):
    bsr = x.to_sparse_bsr((2, 2))
    return torch.sparse_bsr_tensor(bsr.crow_indices().int().cuda(), bsr.col_indices().int().cuda(), bsr.values().cuda(), x.shape)


def check_rows(dtype, index, by):
    a, b, h = some(60, 50, dtype), some(50, 40, dtype), some(60, 50, dtype, 0.2)
    m, v, c = torch.randn(50, 30, dtype=dtype), torch.randn(50, dtype=dtype), torch.randn(60, 30, dtype=dtype)
    on = rows_of(a, index)
    near(on @ m.cuda(), a @ m, "CSR by dense", by)
    near(torch.addmm(c.cuda(), on, m.cuda(), alpha=2, beta=0.5), 0.5 * c + 2 * (a @ m), "addmm", by)
    near(on @ v.cuda(), a @ v, "CSR by vector", by)
    near(on @ rows_of(b, index), a @ b, "CSR by CSR", by)
    near(torch.add(on, rows_of(h, index), alpha=2), a + 2 * h, "CSR and CSR", by)
    x, y = torch.randn(60, 8, dtype=dtype), torch.randn(8, 50, dtype=dtype)
    near(torch.sparse.sampled_addmm(on, x.cuda(), y.cuda(), alpha=2.0, beta=0.5), 0.5 * a + 2 * (x @ y) * (a != 0), "sampled_addmm", by)
    low = some(50, 50, dtype, 0.3).tril(-1) + 4 * torch.eye(50, dtype=dtype)
    for upper, matrix in ((False, low), (True, low.mT.contiguous())):
        near(torch.triangular_solve(m.cuda(), rows_of(matrix, index), upper=upper).solution, torch.linalg.solve(matrix, m), "triangular_solve", by)


def check_blocks(dtype, by):
    a, m = torch.randn(60, 60, dtype=dtype), torch.randn(60, 30, dtype=dtype)
    near(torch.addmm(m.cuda(), blocks_of(a), m.cuda()), m + a @ m, "BSR by dense", by)
    near(blocks_of(a) @ m[:, 0].contiguous().cuda(), a @ m[:, 0], "BSR by vector", by)
    low = a.tril(-1) / 60 + 4 * torch.eye(60, dtype=dtype)
    near(torch.triangular_solve(m.cuda(), blocks_of(low), upper=False).solution, torch.linalg.solve(low, m), "BSR, triangular_solve", by)


def check_coordinates(dtype, by):
    a, m, c = some(60, 50, dtype), torch.randn(50, 30, dtype=dtype), torch.randn(60, 30, dtype=dtype)
    on = a.to_sparse_coo().cuda()
    near(torch.sparse.mm(on, m.cuda()), a @ m, "COO by dense", by)
    near(torch.sparse.addmm(c.cuda(), on, m.cuda()), c + a @ m, "COO, addmm", by)
    b = some(50, 40, dtype)
    near(torch.sparse.mm(on, b.to_sparse_coo().cuda()), a @ b, "COO by COO", by)
    if dtype.is_complex:
        return  # PyTorch has no bmm of such.
    batch = torch.stack([some(20, 10, dtype) for _ in range(3)])
    by_dense = torch.randn(3, 10, 7, dtype=dtype)
    near(torch.bmm(batch.to_sparse_coo().cuda(), by_dense.cuda()), batch @ by_dense, "COO, bmm", by)


for dtype in (torch.float32, torch.float64, torch.complex64, torch.complex128):
    by = 1e-3 if dtype in (torch.float32, torch.complex64) else 1e-9
    for index in (torch.int32, torch.int64):
        check_rows(dtype, index, by)
    check_blocks(dtype, by)
    check_coordinates(dtype, by)

# What is trained is the values of a sparse matrix.
a, m = some(60, 50, torch.float32), torch.randn(50, 30)
weights = a.to_sparse_coo().cuda().coalesce().requires_grad_()
torch.sparse.mm(weights, m.cuda()).square().sum().backward()
wanted = (2 * (a @ m) @ m.T) * (a != 0)
near(weights.grad, wanted, "gradient", 1e-2)
print("ok")
