"""Measure what enlarging costs: memory in a process, and time and memory of the whole command."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from subprocess import DEVNULL

import numpy as np
from PIL import Image

# Height and width of colour pictures enlarged three times: to 4K, and to 100 megapixels.
TO_4K, TO_100_MP = (720, 1280), (2722, 4083)

_WITHIN = """
import sys
import numpy as np
from benchmarks.worker import with_memory
from srcnn_np import load_model, upscale
from srcnn_np.imaging import Picture
model = load_model(sys.argv[1])
noise = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), np.uint8)
upscale(Picture(noise[:64, :64]), 3, model)
print(with_memory(lambda: upscale(Picture(noise), 3, model))[1])
"""


def within_a_process(model: str) -> int | None:
    """Return the most bytes that `upscale` to 4K needs, with its result of 25 MB; Linux only."""
    if not Path("/proc/self/clear_refs").exists():
        return None
    command = [sys.executable, "-c", _WITHIN, model]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


_COMMAND = """
import sys
from benchmarks.worker import memory
from srcnn_np.cli import main
code = main()
print(memory("VmHWM"))
sys.exit(code)
"""


def command(model: str, size: tuple[int, int], times: int) -> tuple[float, int]:
    """Return the median seconds and peak bytes of memory of `upscale` on a colour picture."""
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        source, result = Path(folder, "source.png"), Path(folder, "result.png")
        noise = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
        Image.fromarray(noise).save(source, compress_level=1)
        options = ["--scale", "3", "--model", model, "--force"]
        words = ["upscale", str(source), "-o", str(result), *options]
        for _ in range(times + 1):  # the first may compile, and is not counted
            start = time.perf_counter()
            subprocess.run([sys.executable, "-m", "srcnn_np", *words], check=True, stdout=DEVNULL)
            seconds.append(time.perf_counter() - start)
        # The process measures its own largest size: the system would add its parent's.
        code = [sys.executable, "-c", _COMMAND, *words]
        done = subprocess.run(code, check=True, capture_output=True, text=True)
    return float(np.median(seconds[1:])), int(done.stdout.split()[-1])


def lines(figures: dict) -> list[str]:
    """Return the figures as lines, for `python -m benchmarks` and benchmarks/README.md."""
    found = [f"enlarging a colour picture three times, by {figures['model']}"]
    if (used := figures["upscale_to_4K_bytes"]) is not None:
        found.append(f"upscale() to 3840 x 2160: {used / 1e6:.0f} MB above the process before")
    for name, row in figures.items():
        if name.startswith("command_"):
            size = name.removeprefix("command_").replace("x", " x ")
            found.append(
                f"srcnn-np upscale, the whole command, of {size}: {row['seconds']:.2f} s, "
                f"{row['bytes'] / 1e6:.0f} MB in all"
            )
    return found
