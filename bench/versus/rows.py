"""What the table has: for each row the least that any implementation must do, and the goal.

`flops` are those of matrix products, two for a multiplication and an addition. `streams` says how often an array as
large as the operand is read or written by the best known way to work: in blocks that stay in cache, with nothing of
that size kept but arguments and results.
"""

from dataclasses import dataclass

MB = 1 << 20


@dataclass(frozen=True)
class Row:
    case: str
    title: str
    flops: float = 0
    bytes: float = 0
    level: str = "memory"  # where the bytes come from: memory or l2
    eager: float = 0  # goals: at least so many times as fast as eager PyTorch, ...
    compiled: float = 0  # ... as torch.compile
    share: float = 0  # at least this share of the machine's limit
    most_ms: float = 0  # at most so long
    threads: float = 0  # two threads at least so many times as fast as one
    kind: str = "race"  # race: against PyTorch; own: Tapestry by itself; threads; start; convolutions
    group: str = ""  # the section of the table
    heavy: bool = False  # takes seconds and gigabytes: few samples, one setting of PyTorch in memory at a time


def step(case, title, hidden, batch, **goals):
    """Every weight takes part in one product forward and in one for its gradient, every hidden activation's gradient
    in a third. Adam reads weight and two moments and writes them, and takes gradients from caches, where products leave
    them. A batch is read as bytes and written as floats."""
    weights = [3072 * hidden, hidden * hidden, hidden * hidden, hidden * 10]
    flops = 2 * batch * (3 * sum(weights) - weights[0])
    parameters = sum(weights) + 3 * 3 * hidden + 10
    return Row(case, title, flops, 6 * 4 * parameters + 5 * 3072 * batch, **goals)


# (reads + writes) of arrays of the operand's size. The statistics of a batch norm need all of x before the first result,
# so x is read twice, and so are x and the cotangent backward; a row of a layer norm or a softmax stays in cache.
STREAMS = {
    "batch_norm": (3, 5),
    "layer_norm": (2, 3),
    "cross_entropy": (1, 2),
    "gelu": (2, 3),
    "dropout": (2, 2),
}
NAMES = {
    "batch_norm": "batch norm",
    "layer_norm": "layer norm",
    "cross_entropy": "softmax cross-entropy",
    "gelu": "GELU",
    "dropout": "dropout",
}


def pointwise():
    for size, total, level, share in (("64MB", 64 * MB, "memory", 0.8), ("512KB", MB // 2, "l2", 0)):
        shown = size.replace("MB", " MB").replace("KB", " KB")
        for op, streams in STREAMS.items():
            for direction, count in zip(("forward", "backward"), streams):
                yield Row(
                    f"{op}/{direction}/{size}",
                    f"{NAMES[op]} {direction}, {shown}",
                    bytes=count * total,
                    level=level,
                    eager=1,
                    compiled=1,
                    share=share,
                )
        # At L2 size all four arrays together are 512 KB.
        weights = total if level == "memory" else total / 4
        yield Row(f"adam/{size}", f"Adam update, {shown}", bytes=7 * weights, level=level, eager=1, compiled=1, share=share)


CONVNETS = "convolutional nets"


def convnets():
    titles = {
        "speedrun": "the speedrun's step, batch 2000",
        "resnet20": "ResNet-20's step, batch 128",
        "three_layer": "the three-layer net's step, batch 100",
    }
    for net, title in titles.items():
        for precision in ("f32", "bf16"):
            times = 2 if (net, precision) == ("speedrun", "bf16") else 1
            yield Row(
                f"step/{net}_{precision}",
                f"{title}, {precision}",
                eager=times,
                compiled=times,
                group=CONVNETS,
                heavy=net == "speedrun",
            )
    yield Row(
        "step/speedrun_bf16",
        "the speedrun's step, bf16, against its convolutions alone by oneDNN",
        kind="convolutions",
        group=CONVNETS,
        heavy=True,
    )


ROWS = [
    step("step/notebook", "the notebook's step", 500, 100, eager=2, compiled=1.5, share=0.7),
    step("step/batch_1000", "the same, batch 1000", 500, 1000, eager=1, compiled=1, share=0.85),
    step("step/hidden_2048", "the same, hidden 2048", 2048, 100, eager=1, compiled=1, share=0.85),
    *pointwise(),
    Row("tiny/1000", "1,000 tiny ops: 500 times tanh(h w), 8x8", eager=10, compiled=0),
    Row("compile/notebook", "record, differentiate, compile the notebook's step", most_ms=5, kind="own"),
    Row("compile/100k_nodes", "the same for a graph of 100,000 nodes", most_ms=1000, kind="own"),
    Row("step/notebook", "two threads against one, the notebook's step", threads=1.8, kind="threads"),
    Row("start", "start of cifar_train to the first training loss", most_ms=700, kind="start"),
    *convnets(),
]

# What is measured of the machine, with the work in it: matrix products in FLOPs, memory in bytes. The first two are
# those of ops/kernels/machine_limits.hpp.
MACHINE = {
    "sgemm": ("sgemm 384 x 768 x 768 on each core", 0),
    "memory": ("a = s a + t b, 64 MB each", 0),
    "machine/sgemm_forward": ("sgemm 100 x 3072 x 500", 2 * 100 * 3072 * 500),
    "machine/sgemm_weights": ("sgemm 3072 x 100 x 500, the first transposed", 2 * 100 * 3072 * 500),
    "machine/sgemm_hidden": ("sgemm 100 x 500 x 500", 2 * 100 * 500 * 500),
    "machine/memory_huge": ("a = s a + t b, 64 MB each in huge pages", 3 * 64 * MB),
    "machine/memory_streaming": ("c = a + b, 64 MB each in huge pages, streaming stores", 3 * 64 * MB),
    "machine/l2": ("a = s a + t b, 512 KB each in the L2s of both cores", 3 * MB // 2 * 32),
    "pytorch": ("sgemm 2048 x 2048 x 2048 by PyTorch", 2 * 2048**3),
}
