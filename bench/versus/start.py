"""From the start of a process to the first training loss, the data being on disk."""

import os
import pty
import select
import shutil
import subprocess
import tempfile
import time


def first_loss(command, environment):
    """Milliseconds until "loss" stands in what the command writes to a terminal; it is then ended."""
    ours, theirs = pty.openpty()
    start = time.perf_counter()
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=os.environ | environment, close_fds=True
    )
    os.close(theirs)
    seen, taken = b"", None
    while taken is None and time.perf_counter() - start < 60:
        ready, _, _ = select.select([ours], [], [], 1)
        if not ready:
            continue
        try:
            data = os.read(ours, 65536)
        except OSError:  # it has ended
            break
        seen += data
        if b"loss" in seen:
            taken = (time.perf_counter() - start) * 1e3
    process.kill()
    process.wait()
    os.close(ours)
    if taken is None:
        raise SystemExit(f"versus: {' '.join(command)} showed no loss: {seen.decode(errors='replace')}")
    return taken


def measure(options, rounds):
    times = {"tapestry": [], "eager": []}
    torch = [options.python, os.path.join(os.path.dirname(__file__), "torch_start.py"), options.data]
    for _ in range(rounds + 1):
        out = tempfile.mkdtemp(prefix="versus-")
        shutil.rmtree(out)
        command = [options.cifar_train, "train", "--data", options.data, "--out", out]
        times["tapestry"].append(first_loss(command, {"TERM": "xterm"}))
        shutil.rmtree(out, ignore_errors=True)
        times["eager"].append(first_loss(torch, {}))
    # The first round brings programs and data into the page cache.
    return {"rounds": {name: values[1:] for name, values in times.items()}}
