"""Compare the speed of convolutions: `python -m benchmarks kernels|network|all`.

Prints for each task a table of all contestants: median time, GFLOP/s by the count of the
direct sum (an algorithm that needs fewer operations may exceed the machine's rate), percent
of the measured rates of fused multiply-adds and SGEMM, and its time in units of the first
contestant's, as the median of the rounds and, in brackets, the quarters around it.
"""

import argparse
import json
import sys
from collections.abc import Iterator

import numpy as np

from srcnn_np.errors import InputError
from srcnn_np.output import check_output, writing

from .contestants import CONTESTANTS, THREADS, Task
from .race import Result, machine_rates, peak_memory, race
from .tasks import Inference, Layer, TrainingStep

LAYERS = {  # C, K, k of the layers of 9-1-5 and 9-5-5, and the size each sees of a 33 x 33
    "first layer, 1 -> 64, 9 x 9": (1, 64, 9, 33),
    "1 x 1, 64 -> 32": (64, 32, 1, 25),
    "5 x 5, 64 -> 32": (64, 32, 5, 25),
    "last layer, 32 -> 1, 5 x 5": (32, 1, 5, 25),
}
SIZES = {
    "256 x 256": (256, 256),
    "512 x 768": (512, 768),
    "1080p": (1080, 1920),
    "4K": (2160, 3840),
}


def main() -> None:
    """Run the races that were asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("what", choices=("kernels", "network", "all"))
    parser.add_argument("--rounds", type=int, default=9, help="how often each is timed (9)")
    parser.add_argument("--only", metavar="WORD", default="", help="tasks with this in their title")
    parser.add_argument("--json", metavar="FILE", help="also write all figures to a file")
    parser.add_argument("--plot", metavar="FILE.png", help="also draw a bar for each")
    parser.add_argument("--force", action="store_true", help="replace files that are there")
    options = parser.parse_args()
    for path in (options.json, options.plot):
        if path is not None:
            check_output(path, force=options.force)

    rates = machine_rates()
    print(
        f"{THREADS} threads; this machine: {rates['FMA']:.0f} GFLOP/s of fused multiply-adds, "
        f"{rates['SGEMM']:.0f} of SGEMM",
        flush=True,
    )
    tables = []
    for title, task, names, rounds in _tasks(options.what, options.rounds):
        if options.only not in title:
            continue
        results = race(task, names, rounds)
        tables.append({"title": title, "flops": task.flops, "rows": _rows(task, results, rates)})
        _print_table(tables[-1])
    memory = []
    if options.what != "kernels" and options.only in "memory":
        memory = _memory()
    if options.json is not None:
        report = {"threads": THREADS, "rates": rates, "tables": tables, "memory": memory}
        with writing(options.json, force=options.force) as part:
            part.write_text(json.dumps(report, indent=1) + "\n")
    if options.plot is not None and tables:
        from .plot import draw

        with writing(options.plot, force=options.force) as part:
            draw(tables, rates, part)


def _tasks(what: str, rounds: int) -> Iterator[tuple[str, Task, list[str], int]]:
    """Title, task, contestants and rounds of every race."""
    names = [name for name in CONTESTANTS if name != "srcnn_np"]
    if what != "network":
        for layer, (C, K, k, size) in LAYERS.items():
            for kind, N, H, W in (
                ("one sub-image", 1, size, size),
                ("128 sub-images", 128, size, size),
                ("512 x 768", 1, 512, 768),
            ):
                for direction in ("forward", "dx", "dw"):
                    if C == 1 and direction == "dx":
                        continue  # nobody needs it
                    title = f"{layer}, {kind}, {direction}"
                    yield title, Layer(layer, direction, N, C, H, W, K, k), names, rounds
    if what != "kernels":
        networks = ["srcnn_np", *names]
        for structure in ("9-1-5", "9-3-5", "9-5-5"):
            for size, (H, W) in SIZES.items():
                fewer = rounds if H < 1000 else max(3, rounds // 2)
                # PyTorch keeps its maps, 8 GB of them at 4K, and all contestants are there at once.
                some = [n for n in networks if size != "4K" or "PyTorch" not in n]
                yield f"inference, {structure}, {size}", Inference(structure, H, W), some, fewer
        for structure in ("9-1-5", "9-5-5"):
            title = f"training step, {structure}, 128 x 33 x 33"
            yield title, TrainingStep(structure), networks, rounds


def _rows(task: Task, results: dict[str, Result], rates: dict[str, float]) -> list[dict]:
    present = {name: result for name, result in results.items() if result.seconds}
    first = np.array(next(iter(present.values())).seconds)
    rows = []
    for name, result in results.items():
        row: dict = {"name": name}
        if result.seconds:
            seconds = float(np.median(result.seconds))
            ratios = np.quantile(np.array(result.seconds) / first, (0.5, 0.25, 0.75))
            row |= {
                "seconds": seconds,
                "gflops": task.flops / seconds / 1e9,
                "of_fma": task.flops / seconds / 1e9 / rates["FMA"],
                "of_sgemm": task.flops / seconds / 1e9 / rates["SGEMM"],
                "ratio": float(ratios[0]),
                "quarters": [float(ratios[1]), float(ratios[2])],
                "difference": result.difference,
            }
        else:
            row["absent"] = result.absent
        rows.append(row)
    return rows


def _print_table(table: dict) -> None:
    print(f"\n{table['title']}")
    print(f"{'':26}{'ms':>10}{'GFLOP/s':>9}{'% FMA':>7}{'% SGEMM':>9}{'times':>8}")
    for row in sorted(table["rows"], key=lambda row: row.get("seconds", np.inf)):
        if "absent" in row:
            continue
        low, high = row["quarters"]
        print(
            f"{row['name']:26}{row['seconds'] * 1e3:10.2f}{row['gflops']:9.1f}"
            f"{row['of_fma']:7.0%}{row['of_sgemm']:9.0%}{row['ratio']:8.2f}"
            f"  ({low:.2f} ... {high:.2f})"
        )
    absent = [f"{row['name']} ({row['absent']})" for row in table["rows"] if "absent" in row]
    if absent:
        print(f"without {', '.join(absent)}")
    sys.stdout.flush()


def _memory() -> list[dict]:
    """What a 4K picture needs beyond the libraries, input and result included."""
    rows = []
    print("\nmemory, 4K, MB above the process before (picture and result are 66)")
    for structure in ("9-1-5", "9-5-5"):
        for name in ("srcnn_np", "srcnn_np numba", "PyTorch as installed", "PyTorch tuned"):
            used = peak_memory(Inference(structure, *SIZES["4K"]), name)
            if used is not None:
                rows.append({"structure": structure, "name": name, "bytes": used})
                print(f"{structure}  {name:26}{used / 1e6:8.0f}", flush=True)
    return rows


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"benchmarks: error: {error}")
