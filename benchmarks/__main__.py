"""Compare the speed of convolutions: one layer at a time, whole networks, sizes and threads.

For each task it prints a table of all contestants: median time; GFLOP/s by the count of the direct
sum (an algorithm that needs fewer operations may exceed the machine's rate); percent of the
measured rates of fused multiply-adds and SGEMM; and the most memory. The last column is the time
for each number of the result, divided by that of the first contestant: the median of the rounds,
with the quartiles in brackets.
"""

import argparse
import json
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from srcnn_np.errors import InputError
from srcnn_np.output import check_output, writing

from . import enlarging, races, ranks
from .contestants import THREADS
from .machine import rates
from .race import DisagreementError, Entry, Result, race

RACES = {"kernels": races.kernels, "network": races.network, "scaling": races.scaling}


def main() -> None:
    """Run the races that were asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__.partition("\n")[0]
    )
    parser.add_argument(
        "what",
        choices=(*RACES, "enlarging", "all"),
        help="kernels: one layer at a time; network: whole pictures and training steps; scaling: "
        "sizes and threads; enlarging: memory and time of `upscale` (minutes each)",
    )
    parser.add_argument("--rounds", type=int, default=5, help="how often each is timed (5)")
    parser.add_argument(
        "--only",
        metavar="WORD",
        nargs="+",
        default=[""],
        help="races with one of these in the title",
    )
    parser.add_argument("--json", metavar="FILE", help="also write all figures to a file")
    parser.add_argument("--plot", metavar="FILE.png", help="also draw a bar for each")
    parser.add_argument("--force", action="store_true", help="replace files that are there")
    options = parser.parse_args()
    if options.rounds < 1:
        raise InputError(f"--rounds is {options.rounds}; give at least 1")
    for path in (options.json, options.plot):
        if path is not None:
            check_output(path, force=options.force)
    if options.plot is not None and not options.plot.endswith(".png"):
        raise InputError(f"{options.plot}: a plot's name ends in .png")
    if options.plot is not None and options.what == "enlarging":
        raise InputError("enlarging draws no plot; leave out --plot")
    if options.plot is not None and options.plot == options.json:
        raise InputError(f"{options.plot} cannot be both the plot and the figures")
    if options.plot is not None and find_spec("matplotlib") is None:
        raise InputError('--plot needs matplotlib: pip install -e ".[bench]"')
    parts = [*RACES, "enlarging"] if options.what == "all" else [options.what]
    some = [race for part in parts if part in RACES for race in RACES[part]()]
    some = [race for race in some if any(word in race[0] for word in options.only)]
    enlarge = "enlarging" in parts and any(word in "enlarging" for word in options.only)
    several = "scaling" in parts and any(word in "ranks" for word in options.only)
    if not some and not enlarge and not several:
        raise InputError(f"no race has {' or '.join(options.only)} in its title")

    report = {"threads": THREADS, "rates": rates(), "versions": _versions()}
    report |= {"tables": [], "ranks": {}, "enlarging": {}}
    print(
        f"{THREADS} threads; this machine: {report['rates']['FMA']:.0f} GFLOP/s of fused "
        f"multiply-adds, {report['rates']['SGEMM']:.0f} of SGEMM",
        flush=True,
    )
    for title, entries in some:
        print(f"\n{title}", flush=True)
        try:
            results = race(entries, options.rounds)
        except DisagreementError as error:
            raise InputError(f"{title}: {error}") from None
        report["tables"].append({"title": title, "rows": _rows(entries, results, report["rates"])})
        _print_table(report["tables"][-1])
        _write(report, options.json)
    if several:
        report["ranks"] = _ranks(options.rounds)
        _write(report, options.json)
    if enlarge:
        report["enlarging"] = _enlarging(options.rounds)
        _write(report, options.json)
    # GFLOP/s do not say which of two networks is faster.
    drawn = [table for table in report["tables"] if not table["title"].startswith(races.PAIR)]
    if options.plot is not None and drawn:
        from .plot import draw

        with writing(options.plot, force=True) as part:
            draw(drawn, report["rates"], part)


def _versions() -> dict[str, str]:
    names = ("numpy", "numba", "scipy", "torch", "onnxruntime", "openvino", "MNN", "ncnn")
    names += ("opencv-python-headless",)
    found = {}
    for name in names:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _write(report: dict, path: str | None) -> None:
    """Write the report; it is called after every race, so that an interrupt loses one race only."""
    if path is not None:
        with writing(path, force=True) as part:
            Path(part).write_text(json.dumps(report, indent=1) + "\n")


def _rows(entries: list[Entry], results: list[Result], rates: dict[str, float]) -> list[dict]:
    first = None
    rows = []
    for entry, result in zip(entries, results, strict=True):
        row: dict = {"name": entry.label, "contestant": entry.contestant}
        if result.why:
            row |= {"without": result.why, "failed": result.failed}
        else:
            costs = np.array(result.seconds) / entry.task.values
            first = costs if first is None else first
            low, middle, high = np.quantile(costs / first, (0.25, 0.5, 0.75))
            gflops = 1e-9 * entry.task.flops / np.median(result.seconds)
            row |= {
                "seconds": float(np.median(result.seconds)),
                "rounds": result.seconds,
                "threads": result.threads,
                "gflops": gflops,
                "of_fma": gflops / rates["FMA"],
                "of_sgemm": gflops / rates["SGEMM"],
                "memory": result.memory,
                "times": middle,
                "quarters": [low, high],
                "difference": result.difference,
            }
        rows.append(row)
    return rows


def _print_table(table: dict) -> None:
    print(f"{'':36}{'ms':>9}{'GFLOP/s':>9}{'% FMA':>7}{'% SGEMM':>9}{'MB':>7}{'times':>8}")
    there = [row for row in table["rows"] if "seconds" in row]
    for row in sorted(there, key=lambda row: row["times"]):
        low, high = row["quarters"]
        memory = "-" if row["memory"] is None else f"{row['memory'] / 1e6:.0f}"
        print(
            f"{row['name']:36}{row['seconds'] * 1e3:9.2f}{row['gflops']:9.1f}"
            f"{row['of_fma']:7.0%}{row['of_sgemm']:9.0%}{memory:>7}{row['times']:8.2f}"
            f"  ({low:.2f} ... {high:.2f})"
        )
    for word, failed in (("without", False), ("failed:", True)):
        names = [
            f"{row['name']} ({row['without']})"
            for row in table["rows"]
            if "without" in row and row["failed"] == failed
        ]
        if names:
            print(word, "; ".join(names))
    sys.stdout.flush()


def _ranks(rounds: int) -> dict:
    """Measure several processes, where MPI can start them."""
    if why := ranks.why_not():
        print(f"\n{why}", flush=True)
        return {}
    print("\nranks, which takes minutes", flush=True)
    found = ranks.figures(rounds)
    print("\n" + "\n".join(ranks.lines(found)), flush=True)
    return found


def _enlarging(times: int) -> dict:
    """Measure the shipped x3 model on colour pictures."""
    from srcnn_np.model import default_name

    model = default_name(3)
    figures: dict = {"model": model, "upscale_to_4K_bytes": enlarging.within_a_process(model)}
    for size in ((256, 256), enlarging.TO_4K, enlarging.TO_100_MP):
        seconds, most = enlarging.command(model, size, times)
        figures[f"command_{size[1]}x{size[0]}"] = {"seconds": seconds, "bytes": most}
    print("\n" + "\n".join(enlarging.lines(figures)), flush=True)
    return figures


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"benchmarks: error: {error}")
    except KeyboardInterrupt:
        sys.exit("benchmarks: interrupted")
