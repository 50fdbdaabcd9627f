"""Times Tapestry and PyTorch in turn and writes the table. bench/versus_pytorch.sh calls it; --help tells the options."""

import argparse
import datetime
import json
import os
import platform
import re
import statistics
import subprocess
import sys
from pathlib import Path

import report
import start
from rows import MACHINE, ROWS

HERE = Path(__file__).resolve().parent
# glibc gives every large tensor back to the system when it dies, and the pages of the next one have to be made anew:
# at 64 MB that takes longer than most ops. So PyTorch is also tried with glibc told to keep memory and to use huge pages.
KEEP = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(1 << 36),
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}


class Worker:
    """A process that is there from the first question until it is closed, and again after that."""

    def __init__(self, name, command, environment):
        self.name, self.command, self.environment = name, command, environment
        self.process = None

    def send(self, line):
        if self.process is None:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=os.environ | self.environment,
            )
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def receive(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"versus: {self.name} ended early; its own words are above")
        return json.loads(line)

    def run(self, case, seconds, threads=2, samples=5):
        self.send(f"run {case} {threads} {seconds} {samples}")
        return self.receive()

    def drop(self, case):
        self.send(f"drop {case}")
        return self.receive()

    def close(self):
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait()
            self.process = None


class Torch:
    """PyTorch in one mode, in all its settings: numbers of threads, ways to allocate."""

    def __init__(self, mode, python, cache):
        self.workers = {}
        for threads in (2, 1):
            for how, environment in (("", {}), ("kept memory", KEEP)):
                setting = f"{threads} thread{'s' if threads > 1 else ''}" + (", " + how if how else "")
                environment = environment | {
                    "OMP_NUM_THREADS": str(threads),
                    "TORCHINDUCTOR_CACHE_DIR": str(cache),
                    "TORCHINDUCTOR_COMPILE_THREADS": "1",
                }
                command = [python, str(HERE / "torch_worker.py"), mode, str(threads)]
                self.workers[setting] = Worker(f"PyTorch ({mode}, {setting})", command, environment)

    def choose(self, case, seconds):
        """The fastest setting; the others give their memory back."""
        for worker in self.workers.values():  # what takes memory and time to make
            worker.run(case, 0)
        times = {setting: worker.run(case, seconds)["ms"] for setting, worker in self.workers.items()}
        best = min(times, key=times.get)
        for setting, worker in self.workers.items():
            if setting != best:
                worker.drop(case)
        return best, times

    def choose_heavy(self, case):
        """The faster way to allocate, by two threads; never two of them in memory at once."""
        times = {}
        for setting in [s for s in self.workers if s.startswith("2")]:
            times[setting] = self.workers[setting].run(case, 0, samples=1)["ms"]
            self.workers[setting].close()
        return min(times, key=times.get), times

    def compile(self, cases):
        """Makes all cases once, so that their code is in the cache on disk."""
        settings = [s for s in self.workers if "kept" not in s]
        for case in cases:
            for setting in settings:
                self.workers[setting].send(f"run {case} 0 0 1")
            for setting in settings:
                self.workers[setting].receive()
                self.workers[setting].drop(case)

    def close(self):
        for worker in self.workers.values():
            worker.close()


class Run:
    def __init__(self, options):
        self.options = options
        self.seconds = 0.1 if options.quick else 0.25
        self.rounds = 3 if options.quick else 5
        self.tapestry = Worker("versus", [options.versus], {})
        self.torch = {mode: Torch(mode, options.python, options.out / "inductor") for mode in ("eager", "compiled")}

    def machine(self):
        """GFLOP/s and GB/s."""
        all_rates = {case: [] for case in MACHINE}
        eager = self.torch["eager"].workers["2 threads"]
        for _ in range(self.rounds):
            self.tapestry.send(f"machine 2 {self.seconds}")
            answer = self.tapestry.receive()
            rates = {"sgemm": answer["flops"] / 1e9, "memory": answer["bytes"] / 1e9}
            for case, (_, work) in MACHINE.items():
                if case.startswith("machine/"):
                    rates[case] = work / self.tapestry.run(case, self.seconds)["ms"] / 1e6
            rates["pytorch"] = MACHINE["pytorch"][1] / eager.run("machine/sgemm", self.seconds)["ms"] / 1e6
            for case, rate in rates.items():
                all_rates[case].append(rate)
        return {case: statistics.median(rates) for case, rates in all_rates.items()}

    def bandwidth(self):
        """Of memory, now: what a virtual machine gets of it changes from one minute to the next."""
        cases = [case for case in MACHINE if case.startswith("machine/memory")]
        return max(MACHINE[case][1] / self.tapestry.run(case, self.seconds / 4)["ms"] / 1e6 for case in cases)

    def race(self, row, budget):
        result = {"settings": {}, "rounds": {"tapestry": [], "eager": [], "compiled": []}}
        chosen = {}
        for mode, torch in self.torch.items():
            setting, times = torch.choose_heavy(row.case) if row.heavy else torch.choose(row.case, self.seconds / 2)
            chosen[mode] = torch.workers[setting]
            result["settings"][mode] = {"chosen": setting, "ms": times}
        if row.level == "memory" and row.bytes:
            result["bandwidth"] = []
        for _ in range(self.rounds):
            if "bandwidth" in result:
                result["bandwidth"].append(self.bandwidth())
            samples = 1 if row.heavy else 5
            result["rounds"]["tapestry"].append(self.tapestry.run(row.case, budget, samples=samples)["ms"])
            for mode, worker in chosen.items():
                answer = worker.run(row.case, budget, samples=samples)
                result["rounds"][mode].append(answer["ms"])
                if "how" in answer:
                    result["settings"][mode]["how"] = answer["how"]
        for worker in (self.tapestry, *chosen.values()):
            worker.drop(row.case)
            if row.heavy:  # kept memory stays kept otherwise
                worker.close()
        return result

    def convolutions(self, row, budget):
        """The step, and its convolutions alone, each a call of oneDNN's direct kernels."""
        alone = Worker("versus", [self.options.versus], {"TAPESTRY_WINOGRAD": "0", "TAPESTRY_AMX": "0"})
        case = row.case.replace("step/", "convolutions/")
        rounds = {"tapestry": [], "convolutions": []}
        for _ in range(self.rounds):
            rounds["tapestry"].append(self.tapestry.run(row.case, budget, samples=1)["ms"])
            rounds["convolutions"].append(alone.run(case, budget, samples=1)["ms"])
        for worker in (self.tapestry, alone):
            worker.close()
        return {"rounds": rounds}

    def threads(self, row, budget):
        rounds = {"tapestry": [], "one": []}
        for _ in range(self.rounds):
            rounds["tapestry"].append(self.tapestry.run(row.case, budget, 2)["ms"])
            rounds["one"].append(self.tapestry.run(row.case, budget, 1)["ms"])
        self.tapestry.drop(row.case)
        return {"rounds": rounds}

    def own(self, row, budget):
        result = {"rounds": {"tapestry": [self.tapestry.run(row.case, budget)["ms"] for _ in range(self.rounds)]}}
        self.tapestry.drop(row.case)
        return result

    def row(self, row):
        budget = self.seconds * (4 if row.case.startswith("step/") else 1)
        if row.kind == "start":
            return start.measure(self.options, 3 if self.options.quick else 5)
        return getattr(self, row.kind)(row, budget)

    def close(self):
        self.tapestry.close()
        for torch in self.torch.values():
            torch.close()


def machine_name():
    name = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            name = line.split(":")[1].strip()
            break
    return f"{name}, {len(os.sched_getaffinity(0))} CPUs"


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of versus.md, versus.svg and versus.json")
    parser.add_argument("--versus", required=True, help="the program of that name")
    parser.add_argument("--cifar-train", required=True, help="the program of that name")
    parser.add_argument("--python", default=sys.executable, help="a Python that has torch")
    parser.add_argument("--data", default="", help="CIFAR-10, unpacked")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--rows", default=".", help="a regular expression: only rows whose case it finds")
    parser.add_argument("--prepare", action="store_true", help="only fill torch.compile's cache")
    parser.add_argument("--publish", action="store_true", help="put the table into README.md and the chart into docs/")
    return parser.parse_args()


def main():
    options = parse()
    rows = [row for row in ROWS if re.search(options.rows, row.case + " " + row.kind)]
    path = options.out / "versus.json"
    results = json.loads(path.read_text()) if path.exists() and options.rows != "." else {"rows": {}}
    run = Run(options)
    print("versus: torch.compile", flush=True)
    run.torch["compiled"].compile([row.case for row in rows if row.kind == "race" and not row.heavy])
    if options.prepare:
        run.close()
        return
    print("versus: the machine", flush=True)
    machine = run.machine()
    results |= {
        "machine": machine_name(),
        "date": datetime.date.today().isoformat(),
        "torch": subprocess.check_output([options.python, "-c", "import torch; print(torch.__version__)"], text=True).strip(),
        "quick": options.quick,
        "limits": machine,
    }
    for row in rows:
        results["rows"][row.title] = run.row(row)
        rounds = results["rows"][row.title]["rounds"]
        print(f"versus: {row.title}: " + "  ".join(f"{name} {statistics.median(ms):.4g} ms" for name, ms in rounds.items()), flush=True)
        path.write_text(json.dumps(results, indent=1))
    run.close()
    report.write(results, options.out)
    if options.publish:
        report.publish(options.out, HERE.parent.parent)
    print(f"versus: {options.out}/versus.md")


if __name__ == "__main__":
    main()
