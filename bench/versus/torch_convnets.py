"""Training steps of convolutional nets as a PyTorch user would write them: channels last, autocast for bf16."""

import math

import torch
import torch.nn.functional as F
from torch import nn


def conv3x3(channels_in, channels_out, stride=1):
    return nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)


class SpeedrunNorm(nn.BatchNorm2d):
    """Shifts and doesn't scale."""

    def __init__(self, channels):
        super().__init__(channels, eps=1e-12, momentum=0.4)
        self.weight.requires_grad_(False)


class SpeedrunNet(nn.Module):
    """Of models/speedrun.hpp. The whitening's filters are noise: what they are makes no difference to the time."""

    def __init__(self, widths=(64, 256, 256)):
        super().__init__()
        self.whiten = nn.Conv2d(3, 24, 2)
        self.whiten.weight.requires_grad_(False)
        layers, channels = [], 24
        for width in widths:
            layers += [conv3x3(channels, width), nn.MaxPool2d(2), SpeedrunNorm(width), nn.GELU()]
            layers += [conv3x3(width, width), SpeedrunNorm(width), nn.GELU()]
            channels = width
        self.groups = nn.Sequential(*layers, nn.MaxPool2d(3))
        self.head = nn.Linear(channels, 10, bias=False)

    def forward(self, x):
        return self.head(self.groups(F.gelu(self.whiten(x))).flatten(1)) / 256


class Block(nn.Module):
    """The shortcut of a block that halves the image takes every second pixel and adds channels of zeros."""

    def __init__(self, channels_in, channels_out, stride):
        super().__init__()
        self.conv1, self.norm1 = conv3x3(channels_in, channels_out, stride), nn.BatchNorm2d(channels_out)
        self.conv2, self.norm2 = conv3x3(channels_out, channels_out), nn.BatchNorm2d(channels_out)
        self.stride, self.more = stride, (channels_out - channels_in) // 2

    def forward(self, x):
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        if self.stride > 1:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.more, self.more))
        return F.relu(x + y)


def resnet20():
    layers, channels = [conv3x3(3, 16), nn.BatchNorm2d(16), nn.ReLU()], 16
    for width in (16, 32, 64):
        for i in range(3):
            layers.append(Block(channels, width, 2 if i == 0 and width > 16 else 1))
            channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


def three_layer():
    return nn.Sequential(
        nn.Conv2d(3, 32, 7, padding=3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 16 * 16, 500),
        nn.ReLU(),
        nn.Linear(500, 10),
    )


def orthogonal(g, dtype, steps=3, a=3.4445, b=-4.7750, c=2.0315):
    """Muon's Newton-Schulz iteration for a matrix that is no taller than wide."""
    x = g.to(dtype)
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + torch.addmm(gram, gram, gram, beta=b, alpha=c) @ x
    return x


class Muon(torch.optim.Optimizer):
    """As in optim/muon.hpp, for filters, whose norms are kept."""

    def __init__(self, parameters, lr, dtype, compile, momentum=0.6):
        super().__init__(list(parameters), {"lr": lr, "momentum": momentum})
        self.dtype = dtype
        self.update = torch.compile(self._update, dynamic=False) if compile else self._update

    def _update(self, w, g, velocity, lr: float, momentum: float):
        velocity.mul_(momentum).add_(g)
        direction = g.add(velocity, alpha=momentum).flatten(1)
        tall = direction.shape[0] > direction.shape[1]
        step = orthogonal(direction.T if tall else direction, self.dtype)
        step = (step.T if tall else step).view(w.shape)
        w.mul_(math.sqrt(w.shape[0]) / w.norm()).add_(step, alpha=-lr)

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for w in group["params"]:
                state = self.state[w]
                if "velocity" not in state:
                    state["velocity"] = torch.zeros_like(w)
                self.update(w, w.grad, state["velocity"], group["lr"], group["momentum"])


def speedrun_optimizers(model, batch, dtype, compile):
    rate = 0.01
    filters = [p for p in model.groups.parameters() if p.dim() == 4]

    def group(parameters, scale):
        return {"params": parameters, "lr": rate * scale * batch, "weight_decay": 4e-3 / scale / batch}

    betas = [m.bias for m in model.modules() if isinstance(m, SpeedrunNorm)]
    rest = [group([model.whiten.bias, *betas], 0.053), group(list(model.head.parameters()), 0.67)]
    return [
        torch.optim.SGD(rest, lr=rate, momentum=0.85, nesterov=True, fused=True),
        Muon(filters, rate * 0.24, dtype, compile),
    ]


class Training:
    """An epoch is a new permutation; a batch is its images by index, f32 and normalised beforehand."""

    def __init__(self, model, optimizers, batch, smoothing, bf16, compile):
        self.model = model.to(memory_format=torch.channels_last)
        self.optimizers, self.batch = optimizers, batch
        self.count = 20_000
        images = torch.randint(0, 256, (self.count, 3, 32, 32), dtype=torch.uint8)
        images = images.contiguous(memory_format=torch.channels_last).to(torch.float32)
        self.images = images.sub_(122).div_(63)
        self.labels = torch.randint(0, 10, (self.count,))
        self.position, self.order = 0, torch.randperm(self.count)

        def loss(x, y):
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                scores = self.model(x)
            return F.cross_entropy(scores.float(), y, label_smoothing=smoothing)

        self.loss = torch.compile(loss, dynamic=False) if compile else loss

    def step(self):
        if self.position + self.batch > self.count:
            self.position, self.order = 0, torch.randperm(self.count)
        chosen = self.order[self.position : self.position + self.batch]
        self.position += self.batch
        x = self.images[chosen].contiguous(memory_format=torch.channels_last)
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss = self.loss(x, self.labels[chosen])
        loss.backward()
        for optimizer in self.optimizers:
            optimizer.step()
        return loss.item()


def training(name, compile):
    net, precision = name.rsplit("_", 1)
    bf16 = precision == "bf16"
    if net == "speedrun":
        model = SpeedrunNet().to(memory_format=torch.channels_last)
        optimizers = speedrun_optimizers(model, 2000, torch.bfloat16 if bf16 else torch.float32, compile)
        return Training(model, optimizers, 2000, 0.2, bf16, compile)
    if net == "three_layer":
        model = three_layer().to(memory_format=torch.channels_last)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
        return Training(model, [optimizer], 100, 0, bf16, compile)
    assert net == "resnet20"
    model = resnet20().to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, fused=True)
    return Training(model, [optimizer], 128, 0, bf16, compile)
