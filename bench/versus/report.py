"""versus.json as a table and a chart."""

import math
import statistics
from html import escape

from rows import MACHINE, ROWS


def median(result, name):
    times = result["rounds"].get(name)
    return statistics.median(times) if times else None


def ratio(result, name):
    """How many times as fast Tapestry is: the median of the rounds' ratios, because neighbours in time share their luck."""
    times = result["rounds"].get(name)
    return statistics.median(a / b for a, b in zip(times, result["rounds"]["tapestry"])) if times else None


def matmul_rate(limits):
    return max(rate for case, rate in limits.items() if "sgemm" in MACHINE[case][0])


def share(row, result, limits):
    """The time that the machine needs at least, over what it took: the median of the rounds, each by its own bandwidth."""
    if not (row.flops or row.bytes):
        return None
    times = result["rounds"]["tapestry"]
    rates = result.get("bandwidth") or [limits["machine/l2"]] * len(times)
    # FLOPs by GFLOP/s and bytes by GB/s are nanoseconds.
    return statistics.median(
        (row.flops / matmul_rate(limits) + row.bytes / rate) / (ms * 1e6) for rate, ms in zip(rates, times)
    )


def evaluate(row, result, limits):
    """Ratios, the share of the limit, and what of the goals is missed."""
    values = {name: ratio(result, name) for name in ("eager", "compiled", "one")}
    values["share"] = share(row, result, limits)
    if row.kind == "convolutions":
        rounds = result["rounds"]
        values["share"] = statistics.median(c / t for c, t in zip(rounds["convolutions"], rounds["tapestry"]))
    missed = []
    for name, goal, shown in (("eager", row.eager, "eager "), ("compiled", row.compiled, "compiled "), ("one", row.threads, "")):
        if goal and values[name] < goal:
            missed.append(f"{shown}{goal:g}x")
    if row.share and values["share"] < row.share:
        missed.append(f"{row.share:.0%} of the limit")
    if row.most_ms and median(result, "tapestry") > row.most_ms:
        missed.append(f"{row.most_ms:g} ms")
    return values | {"missed": missed}


def show_ms(ms):
    if ms is None:
        return ""
    if ms < 1:
        return f"{ms * 1e3:.3g} µs"
    return f"{ms:.3g} ms" if ms < 1000 else f"{ms:.0f} ms"


def show_ratio(value):
    return "" if value is None else f"{value:.2f}x" if value < 10 else f"{value:.1f}x"


def show_goal(row):
    parts = []
    if row.compiled:
        parts.append(f"{row.eager:g}x, {row.compiled:g}x")
    elif row.eager:
        parts.append(f"{row.eager:g}x eager")
    if row.share:
        parts.append(f"{row.share:.0%}")
    if row.most_ms:
        parts.append(f"{row.most_ms:g} ms")
    if row.threads:
        parts.append(f"{row.threads:g}x")
    return ", ".join(parts)


def measured(results):
    """The rows that there are, with their results."""
    return [(row, results["rows"][row.title]) for row in ROWS if row.title in results["rows"]]


def markdown(results):
    limits = results["limits"]
    lines = [
        "| work | Tapestry | PyTorch eager | torch.compile | to eager | to compiled | of the limit | goal | |",
        "|---|--:|--:|--:|--:|--:|--:|---|---|",
    ]
    group = ""
    for row, result in measured(results):
        if row.group != group:
            group = row.group
            lines.append(f"| **{group}** |" + " |" * 8)
        v = evaluate(row, result, limits)
        cells = [
            row.title + (f" ({show_ms(median(result, 'convolutions'))})" if row.kind == "convolutions" else ""),
            show_ms(median(result, "tapestry")),
            show_ms(median(result, "eager")),
            show_ms(median(result, "compiled")),
            show_ratio(v["one"] if row.kind == "threads" else v["eager"]),
            show_ratio(v["compiled"]),
            "" if v["share"] is None else f"{v['share']:.0%}",
            show_goal(row),
            "missed: " + ", ".join(v["missed"]) if v["missed"] else "reached" if show_goal(row) else "",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    memory = [rate for result in results["rows"].values() for rate in result.get("bandwidth", [])]
    lines += [
        "",
        f"{results['machine']}; {results['date']}; PyTorch {results['torch']}; {'quick' if results['quick'] else 'full'} run.",
        f"The machine's limit: {matmul_rate(limits):.0f} GFLOP/s"
        + (f", {min(memory):.0f} to {max(memory):.0f} GB/s from memory, row by row" if memory else "")
        + f", {limits['machine/l2']:.0f} GB/s from L2.",
        "",
        "| the machine, two threads | |",
        "|---|--:|",
    ]
    for case, rate in limits.items():
        what = MACHINE[case][0]
        lines.append(f"| {what} | {rate:.0f} {'GFLOP/s' if 'sgemm' in what else 'GB/s'} |")
    return "\n".join(lines) + "\n"


STYLE = """
text { font: 13px system-ui, sans-serif; fill: #222 } .small { font-size: 11px; fill: #666 }
.ahead { fill: #0072b2 } .behind { fill: #d55e00 } .axis { stroke: #bbb } .even { stroke: #222 }
@media (prefers-color-scheme: dark) {
text { fill: #ddd } .small { fill: #999 } .ahead { fill: #56b4e9 } .axis { stroke: #555 } .even { stroke: #ddd }
}"""


def chart(results):
    """Bars of how many times as fast Tapestry is as the faster of PyTorch's modes, from 1x, on a logarithmic axis."""
    bars = []
    for row, result in measured(results):
        v = evaluate(row, result, results["limits"])
        ratios = [v[name] for name in ("eager", "compiled") if v[name]]
        if ratios:
            bars.append((row.title, min(ratios)))
    left, width, pitch, top = 300, 760, 22, 52
    low = min([0.5] + [value for _, value in bars]) / 1.1
    high = max([2.0] + [value for _, value in bars]) * 1.35
    height = top + pitch * len(bars) + 30

    def at(value):
        return left + (width - left - 16) * math.log(value / low) / math.log(high / low)

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
        "<title>Tapestry against PyTorch</title>",
        f"<style>{STYLE}\n</style>",
        '<text x="12" y="22">Times as fast as PyTorch, the faster of eager and torch.compile</text>',
        f'<text x="12" y="40" class="small">{escape(results["machine"])}, {results["date"]}, '
        f'PyTorch {escape(results["torch"])}</text>',
    ]
    for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100):
        if low < tick < high:
            x, kind = f"{at(tick):.1f}", "even" if tick == 1 else "axis"
            out.append(f'<path class="{kind}" d="M{x} {top}V{height - 26}"/>')
            out.append(f'<text class="small" x="{x}" y="{height - 12}" text-anchor="middle">{tick:g}x</text>')
    for i, (title, value) in enumerate(bars):
        y, start, end = top + pitch * i, at(min(1, value)), at(max(1, value))
        out.append(f'<text x="{left - 8}" y="{y + 15}" text-anchor="end">{escape(title)}</text>')
        out.append(
            f'<rect class="{"ahead" if value >= 1 else "behind"}" x="{start:.1f}" y="{y + 4}" '
            f'width="{end - start:.1f}" height="{pitch - 8}"/>'
        )
        out.append(f'<text class="small" x="{end + 5:.1f}" y="{y + 15}">{show_ratio(value)}</text>')
    return "\n".join(out + ["</svg>"]) + "\n"


def write(results, folder):
    (folder / "versus.md").write_text(markdown(results))
    (folder / "versus.svg").write_text(chart(results))


def publish(folder, top):
    """Puts the table and the chart into the README and docs/."""
    before, mark, rest = (top / "README.md").read_text().partition("<!-- versus -->\n")
    old, end, after = rest.partition("<!-- end of versus -->\n")
    if not end:
        raise SystemExit("versus: README.md lacks the marks between which the table goes")
    table = (folder / "versus.md").read_text().partition("\n| the machine")[0]
    (top / "README.md").write_text(before + mark + "\n" + table + "\n" + end + after)
    (top / "docs" / "versus.svg").write_text((folder / "versus.svg").read_text())
