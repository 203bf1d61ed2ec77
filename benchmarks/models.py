"""Compare the models for clean pictures: how good, how fast, and how much memory."""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from srcnn_np import load_model
from srcnn_np.conv.threads import THREADS
from srcnn_np.model import shipped_models
from srcnn_np.upscaling import SCALES

RESULT = Path(__file__).parent / "results" / "models.json"
RESULT_SIZE = 1080, 1920  # of colour pictures, at any scale
ROUNDS = 7

_WITHIN = """
import json, sys, time
import numpy as np
from benchmarks.worker import with_memory
from srcnn_np import load_model, upscale
name, H, W = sys.argv[1], *map(int, sys.argv[2:])
model = load_model(name)
noise = np.random.default_rng(0).integers(0, 256, (H, W, 3), np.uint8)
upscale(noise[:64, :64], model=model)
_, used = with_memory(lambda: upscale(noise, model=model))
print(json.dumps(used), flush=True)
for _ in sys.stdin:
    before = time.perf_counter()
    upscale(noise, model=model)
    print(time.perf_counter() - before, flush=True)
"""


def main() -> None:
    """Measure and print the table; without --run print the last measurement."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.models", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--run", action="store_true", help="measure anew")
    if parser.parse_args().run:
        RESULT.write_text(json.dumps(measured(), indent=1) + "\n")
    print("\n".join(table(json.loads(RESULT.read_text()))))


def names(scale: int) -> list[str]:
    """Return the models of a scale for clean pictures, those with most parameters first."""
    found = [n for n in shipped_models() if n.endswith(f"-x{scale}")]
    return sorted(found, key=lambda n: -sum(p.size for p in load_model(n).network.params.values()))


def measured() -> dict:
    """Return each model's bytes, and its seconds in each round; the models take turns."""
    found: dict = {"threads": THREADS, "models": {}}
    for scale in SCALES:
        processes = {}
        for name in names(scale):
            sides = [str(side // scale) for side in RESULT_SIZE]
            command = [sys.executable, "-c", _WITHIN, name, *sides]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            processes[name] = subprocess.Popen(command, **pipes)
            used = json.loads(processes[name].stdout.readline())
            found["models"][name] = {"bytes": used, "seconds": []}
        for _ in range(ROUNDS):
            for name, process in processes.items():
                process.stdin.write("\n")
                process.stdin.flush()
                found["models"][name]["seconds"].append(float(process.stdout.readline()))
        for process in processes.values():
            process.communicate()
    return found


def table(found: dict) -> list[str]:
    """Return the rows of a table in Markdown."""
    rows = ["| model | parameters | Set5, dB | Set14, dB | seconds | times | MB |"]
    rows.append("| --- | --- | --- | --- | --- | --- | --- |")
    for scale in SCALES:
        first = None
        for name in names(scale):
            if name not in found["models"]:
                continue
            model, row = load_model(name), found["models"][name]
            first = first or row
            times = np.median(np.divide(first["seconds"], row["seconds"]))
            psnrs = " | ".join(f"{model.figures[s]['psnr']:.2f}" for s in ("Set5", "Set14"))
            count = sum(p.size for p in model.network.params.values())
            rows.append(
                f"| {name} | {count:,} | {psnrs} | {np.median(row['seconds']):.3f} | {times:.1f} "
                f"| {row['bytes'] / 1e6:.0f} |"
            )
    return rows


if __name__ == "__main__":
    main()
