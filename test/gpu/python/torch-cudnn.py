# PyTorch on cuDNN: training a small convolution net (with batch norms) and an LSTM by Adam, in f32. The losses are those of the CPU, where nothing is cuDNN's;
# a step's time is told as `figure VALUE UNIT NAME`.
import copy, statistics, time

import torch
from torch import nn
import torch.nn.functional as F

torch.backends.cudnn.allow_tf32 = False


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.lstm, self.out = nn.Embedding(64, 96), nn.LSTM(96, 128, 2, batch_first=True), nn.Linear(128, 64)

    def forward(self, x):
        return self.out(self.lstm(self.embedding(x))[0])


def train(model, inputs, targets, device, steps):
    model, inputs, targets = copy.deepcopy(model).to(device), inputs.to(device), targets.to(device)
    adam, losses, seconds = torch.optim.Adam(model.parameters(), lr=5e-3), [], []
    for _ in range(steps):
        start = time.perf_counter()
        loss = F.cross_entropy(model(inputs).flatten(0, -2), targets.flatten())
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
        seconds.append(time.perf_counter() - start)
    model.eval()
    with torch.no_grad():
        losses.append(F.cross_entropy(model(inputs).flatten(0, -2), targets.flatten()).item())
    return losses, statistics.median(seconds[5:] or seconds)


assert torch.backends.cudnn.is_available() and torch.backends.cudnn.enabled
assert torch.backends.cudnn.is_acceptable(torch.zeros(1, device="cuda"))
torch.manual_seed(0)
net = nn.Sequential(
    nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
    nn.Conv2d(32, 64, 3, stride=2, groups=2), nn.BatchNorm2d(64), nn.ReLU(), nn.Flatten(), nn.Linear(64 * 49, 10),
)
words = torch.randint(64, (16, 32))
for name, model, inputs, targets in (
    ("convolution net", net, torch.randn(64, 3, 32, 32), torch.randint(10, (64,))),
    ("LSTM of two layers", Words(), words, (words * 5 + 3) % 64),
):
    losses, second = train(model, inputs, targets, "cuda", 60)
    wanted, _ = train(model, inputs, targets, "cpu", 4)
    assert torch.allclose(torch.tensor(losses[:4]), torch.tensor(wanted[:4]), rtol=1e-2), (name, losses[:4], wanted)
    assert losses[-1] < losses[0] / 2, (name, losses)
    print("figure", second * 1e3, "ms", f"a step of {'an' if name[0] == 'L' else 'a'} {name}")
print("cuDNN", torch.backends.cudnn.version())
print("ok")
