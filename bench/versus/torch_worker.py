"""The PyTorch side of bench/versus_pytorch.sh: torch_worker.py eager|compiled THREADS.

Reads the lines that `versus` reads (main.cpp) and answers with the same JSON; "how" names what was chosen where PyTorch
offers several ways and the fastest is not known beforehand. The number of threads is the process's, because
torch.compile builds it into its code.
"""

import json
import logging
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

import torch_convnets

MODE, THREADS = sys.argv[1], int(sys.argv[2])
IMAGES = 20_000

torch.set_num_threads(THREADS)
torch.manual_seed(0)
if MODE == "compiled":
    import torch._functorch.config

    torch._dynamo.config.cache_size_limit = 64
    logging.getLogger("torch._dynamo").setLevel(logging.ERROR)


def compiled(function):
    return torch.compile(function, dynamic=False) if MODE == "compiled" else function


def uniform(*shape):
    return torch.rand(shape) * 2 - 1


def seconds_of(run, times):
    start = time.perf_counter()
    for _ in range(times):
        run()
    return time.perf_counter() - start


def measure(run, budget, least=5):
    """As in main.cpp."""
    once = min(seconds_of(run, 1) for _ in range(max(1, min(least, 3))))
    times = max(1, int(2e-4 / max(once, 1e-9)) + 1)
    samples, spent = [], 0.0
    while spent < budget or len(samples) < least:
        taken = seconds_of(run, times)
        spent += taken
        samples.append(taken / times)
    return {"ms": statistics.median(samples) * 1e3, "samples": len(samples)}


def fastest(ways):
    """Of (how, run) the one that is quickest here."""
    times = {how: min(measure(run, 0.3)["ms"] for _ in range(2)) for how, run in ways}
    best = min(times, key=times.get)
    return dict(ways)[best], best


def adam_ways(parameters, lr=1e-3):
    """(how, optimizer, its step) for every implementation of Adam that runs on a CPU."""
    for how in ("foreach", "fused"):
        optimizer = torch.optim.Adam(parameters(), lr=lr, **{how: True})
        yield how, optimizer, optimizer.step
    if MODE == "compiled":
        optimizer = torch.optim.Adam(parameters(), lr=lr, foreach=True)
        yield "compiled", optimizer, torch.compile(optimizer.step, fullgraph=False, dynamic=False)


class Training:
    """The notebook's network. An epoch is a new permutation; a batch is its images by index."""

    def __init__(self, hidden, batch, images, labels, optimizer_index):
        layers, width = [], 3072
        for _ in range(3):
            layers += [nn.Linear(width, hidden), nn.BatchNorm1d(hidden), nn.ReLU()]
            width = hidden
        self.model = nn.Sequential(*layers, nn.Linear(width, 10))
        for module in self.model:
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.01)
                nn.init.zeros_(module.bias)
        self.loss = compiled(lambda x, y: F.cross_entropy(self.model(x), y))
        self.how, self.optimizer, self.update = list(adam_ways(self.model.parameters))[optimizer_index]
        self.images, self.labels, self.batch = images, labels, batch
        self.position, self.order = 0, torch.randperm(IMAGES)

    def step(self):
        if self.position + self.batch > IMAGES:
            self.position, self.order = 0, torch.randperm(IMAGES)
        chosen = self.order[self.position : self.position + self.batch]
        self.position += self.batch
        x, y = self.images[chosen], self.labels[chosen]
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(x, y)
        loss.backward()
        self.update()
        return loss.item()


def training(hidden, batch):
    # Floats with the mean already taken off: nothing is left to do for a batch but to copy it.
    images = (torch.randint(0, 256, (IMAGES, 3072), dtype=torch.uint8)).to(torch.float32)
    images -= images.mean(0)
    labels = torch.randint(0, 10, (IMAGES,))
    trainings = [Training(hidden, batch, images, labels, i) for i in range(3 if MODE == "compiled" else 2)]
    return fastest([(t.how + " Adam", t.step) for t in trainings])


def example(op, size):
    """The function, and its operands of which gradients are wanted."""
    channels = 1024 if op == "cross_entropy" else 512
    x = uniform(size // 4 // channels, channels).requires_grad_()
    gamma, beta = uniform(channels).requires_grad_(), uniform(channels).requires_grad_()
    if op == "batch_norm":
        return lambda x, g, b: F.batch_norm(x, None, None, g, b, training=True), (x, gamma, beta)
    if op == "layer_norm":
        return lambda x, g, b: F.layer_norm(x, (channels,), g, b), (x, gamma, beta)
    if op == "cross_entropy":
        labels = torch.randint(0, channels, (x.shape[0],))
        return lambda x: F.cross_entropy(x, labels), (x,)
    if op == "gelu":
        return F.gelu, (x,)
    assert op == "dropout"
    return lambda x: F.dropout(x, 0.1), (x,)


def half(op, which, size):
    function, operands = example(op, size)
    function = compiled(function)
    if which == "forward":
        return (lambda: function(*operands)), None
    y = function(*operands)
    cotangent = uniform(*y.shape)
    return (lambda: torch.autograd.grad(y, operands, cotangent, retain_graph=True)), None


def adam(size):
    def parameter():
        w = uniform(size // 4 // 512, 512).requires_grad_()
        w.grad = uniform(size // 4 // 512, 512)
        return [w]

    return fastest([(how + " Adam", step) for how, _, step in adam_ways(parameter)])


def tiny():
    x, w = uniform(8, 8), uniform(8, 8)

    def chain(x):
        for _ in range(500):
            x = torch.tanh(x @ w)
        return x

    chain = compiled(chain)

    def run():
        with torch.no_grad():
            chain(x)

    return run, None


def product(m, n, k):
    a, b, c = torch.full((m, k), 0.5), torch.full((k, n), 0.25), torch.empty(m, n)
    return (lambda: torch.mm(a, b, out=c)), None


STEPS = {"notebook": (500, 100), "batch_1000": (500, 1000), "hidden_2048": (2048, 100)}
SIZES = {"64MB": 64 << 20, "512KB": 512 << 10}


def prepare(case):
    kind, *rest = case.split("/")
    if MODE == "compiled":
        # Backward halves are timed by themselves, many times on the same saved values.
        torch._functorch.config.donated_buffer = kind == "step"
    if kind == "step":
        if rest[0] not in STEPS:
            return torch_convnets.training(rest[0], MODE == "compiled").step, None
        return training(*STEPS[rest[0]])
    if kind == "adam":
        # Weights, gradient and both moments together are half a megabyte where caches are to hold them.
        return adam(64 << 20 if rest[0] == "64MB" else 128 << 10)
    if kind == "tiny":
        return tiny()
    if kind == "machine":
        return product(2048, 2048, 2048)
    return half(kind, rest[0], SIZES[rest[1]])


def main():
    prepared = {}
    for line in sys.stdin:
        command, case, *rest = line.split()
        answer = {}
        if command == "drop":
            prepared.pop(case, None)
        else:
            if case not in prepared:
                prepared[case] = prepare(case)
            run, how = prepared[case]
            answer = measure(run, float(rest[1]), int(rest[2]))
            if how:
                answer["how"] = how
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
