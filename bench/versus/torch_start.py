"""torch_start.py DATA: what cifar_train does up to its first training loss, as a short PyTorch script does it."""

import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

folder = Path(sys.argv[1])
parts = [torch.frombuffer(bytearray((folder / f"data_batch_{i}.bin").read_bytes()), dtype=torch.uint8) for i in range(1, 6)]
records = torch.cat(parts).reshape(-1, 3073)[:49_000]
labels = records[:, 0].long()
images = records[:, 1:].to(torch.float32)
images -= images.mean(0)

layers, width = [], 3072
for _ in range(3):
    layers += [nn.Linear(width, 500), nn.BatchNorm1d(500), nn.ReLU()]
    width = 500
model = nn.Sequential(*layers, nn.Linear(width, 10))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
chosen = torch.randperm(len(labels))[:100]
loss = F.cross_entropy(model(images[chosen]), labels[chosen])
loss.backward()
optimizer.step()
print("loss", loss.item(), flush=True)
