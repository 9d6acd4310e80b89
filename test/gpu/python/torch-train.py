# PyTorch: training a perceptron and a small GPT by Adam, in f32. The losses are those of the CPU; a step's time is told as `figure VALUE UNIT NAME`.
import copy, statistics, time

import torch
from torch import nn
import torch.nn.functional as F

TOKENS, WIDTH, HEADS, LENGTH = 512, 256, 4, 64


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, x):
        q, k, v = (part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in self.qkv(self.norm(x)).chunk(3, -1))
        x = x + self.out(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))
        return x + self.mlp(self.norm2(x))


def train(model, inputs, targets, device, steps):
    model, inputs, targets = copy.deepcopy(model).to(device), inputs.to(device), targets.to(device)
    adam, losses, seconds = torch.optim.Adam(model.parameters(), lr=1e-3), [], []
    for _ in range(steps):
        start = time.perf_counter()
        loss = F.cross_entropy(model(inputs).flatten(0, -2), targets.flatten())
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
        seconds.append(time.perf_counter() - start)
    return losses, statistics.median(seconds[5:] or seconds)


torch.manual_seed(0)
perceptron = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))
gpt = nn.Sequential(nn.Embedding(TOKENS, WIDTH), Block(), Block(), nn.LayerNorm(WIDTH), nn.Linear(WIDTH, TOKENS))
words = torch.randint(TOKENS, (8, LENGTH + 1))
for name, model, inputs, targets in (
    ("perceptron", perceptron, torch.randn(256, 784), torch.randint(10, (256,))),
    ("GPT of two layers", gpt, words[:, :-1], words[:, 1:]),
):
    losses, second = train(model, inputs, targets, "cuda", 60)
    wanted, _ = train(model, inputs, targets, "cpu", 5)
    assert torch.allclose(torch.tensor(losses[:5]), torch.tensor(wanted), rtol=2e-3), (name, losses[:5], wanted)
    assert losses[-1] < losses[0] / 2, (name, losses)
    print("figure", second * 1e3, "ms", f"a step of a {name}")
print("ok")
