"""Train the models that come with the package, measure them, and put them into it.

A model's card then holds the command that repeats its training; the training's log lies beside the
model. After an interrupt, the same command goes on where it was.
"""

import argparse
import os
import shutil
import sys
from pathlib import Path

import numpy as np

from srcnn_np import Model, cli, evaluate, load_model, paper, save_model
from srcnn_np.checkpoint import last_path, log_path
from srcnn_np.errors import InputError
from srcnn_np.upscaling import SCALES

MODELS = Path(cli.__file__).parent / "models"
# Models for harmed pictures begin with the weights of the model for clean pictures.
HARMS = {
    "jpeg95": "--jpeg 88-98",
    "jpeg75": "--jpeg 68-90",
    "jpeg50": "--jpeg 38-70",
    "jpeg30": "--jpeg 20-42",
    "jpeg10": "--jpeg 4-20",
    "noise5": "--noise 1-9",
    "noise20": "--noise 8-40",
}
_COPIES = "--copies 0.9,0.8,0.7,0.6"
# The paper's networks learn twice. The second training goes on from the model of FIRST, with
# smaller copies and larger sub-images.
FIRST = {
    f"{arch}-x{scale}-first": f"--scale {scale} --arch {arch} --epochs {epochs}"
    for arch, epochs in (("9-5-5", 80), ("9-1-5", 100))
    for scale in SCALES
}
CLEAN = {
    f"{arch}-x{scale}": f"--scale {scale} --from {arch}-x{scale}-first.npz {_COPIES} --size 49 "
    f"--batch 8 --rate 0.003 --epochs {epochs} --validations 10"
    for arch, lengths in (("9-5-5", (25, 30, 30)), ("9-1-5", (25, 20, 25)))
    for scale, epochs in zip(SCALES, lengths, strict=True)
}
# FSRCNN for other scales begins with the model for 3, see `srcnn_np.network.for_scale`.
CLEAN |= {
    "fsrcnn-x3": f"--scale 3 --arch fsrcnn {_COPIES} --rate 0.01 --epochs 90 --validations 10",
    "fsrcnn-x2": f"--scale 2 --from fsrcnn-x3 {_COPIES} --size 64 --rate 0.007 --epochs 14 "
    "--validations 7",
    "fsrcnn-x4": f"--scale 4 --from fsrcnn-x3 {_COPIES} --rate 0.007 --epochs 40 --validations 8",
    "fsrcnn-s-x3": f"--scale 3 --arch fsrcnn-s {_COPIES} --rate 0.01 --epochs 180 --validations 12",
    "fsrcnn-s-x2": f"--scale 2 --from fsrcnn-s-x3 {_COPIES} --size 64 --rate 0.007 --epochs 50 "
    "--validations 8",
    "fsrcnn-s-x4": f"--scale 4 --from fsrcnn-s-x3 {_COPIES} --rate 0.007 --epochs 90 "
    "--validations 8",
}
_LENGTHS = {2: "--size 64 --epochs 8", 3: "--epochs 10", 4: "--epochs 10"}
HARMED = {
    f"fsrcnn-x{scale}-{level}": f"--scale {scale} --from fsrcnn-x{scale} {harm} {_COPIES} "
    f"--rate 0.004 {_LENGTHS[scale]} --validations 4"
    for scale in SCALES
    for level, harm in HARMS.items()
}
COMMANDS = CLEAN | HARMED


def main() -> None:
    """Train the models that were asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ship", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("data", metavar="DIR", help="holds T91, Set5 and Set14")
    parser.add_argument("work", metavar="WORK", help="a folder for trainings under way")
    parser.add_argument(
        "names", metavar="NAME", nargs="*", help=f"{', '.join(COMMANDS)} (all of them)"
    )
    options = parser.parse_args()
    unknown = set(options.names) - set(COMMANDS)
    if unknown:
        raise InputError(
            f"unknown model {', '.join(sorted(unknown))}: choose of {', '.join(COMMANDS)}"
        )
    data, work = Path(options.data).resolve(), Path(options.work)
    for name in ("T91", *paper.SETS):
        if not (data / name).is_dir():
            raise InputError(f"{data} holds no folder {name}")
    work.mkdir(parents=True, exist_ok=True)
    os.chdir(work)  # so that the commands hold no path of this machine
    for name in ("T91", *paper.SETS):
        Path(name).unlink(missing_ok=True)
        os.symlink(data / name, name)
    for name in options.names or COMMANDS:
        ship(name)


def ship(name: str) -> None:
    """Train one model in this folder, measure it, and put it into the package."""
    if f"{name}-first" in FIRST:
        _train(f"{name}-first", FIRST[f"{name}-first"])
    out = _train(name, COMMANDS[name])
    put(name, load_model(out), log_path(out))


def _train(name: str, command: str) -> Path:
    """Train a model in this folder, or finish its training; return its file."""
    out = Path(f"{name}.npz")
    resume = ["--resume"] if last_path(out).exists() else []
    if code := cli.main([*f"train T91 {command} --watch Set5 --out {out}".split(), *resume]):
        sys.exit(code)
    return out


def put(name: str, model: Model, log: Path) -> None:
    """Put a model into the package, with its log."""
    if name in CLEAN:
        for test_set in paper.SETS:
            model.figures[test_set] = evaluate(test_set, model.scale, model)["mean"]["model"]
        print(name, model.figures, flush=True)
    else:
        # Weights of 11 significant bits halve the file's size, and make no difference in dB.
        params = model.network.params
        model.network.params = {n: np.float32(np.float16(p)) for n, p in params.items()}
    save_model(MODELS / f"{name}.npz", model, force=True)
    shutil.copy(log, log_path(MODELS / f"{name}.npz"))


if __name__ == "__main__":
    try:
        main()
    except (InputError, OSError) as error:
        sys.exit(f"ship: error: {error}")
    except KeyboardInterrupt:
        sys.exit("ship: interrupted")
