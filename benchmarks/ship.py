"""Train the models that come with the package, measure them, and put them there.

A model's card then holds the command that repeats its training, and its log lies beside
it. Interrupted, the same command goes on from where it was.
"""

import argparse
import os
import shutil
import sys
from pathlib import Path

from srcnn_np import cli, evaluate, load_model, paper, save_model
from srcnn_np.checkpoint import last_path, log_path
from srcnn_np.errors import InputError

MODELS = Path(cli.__file__).parent / "models"
EPOCHS = {"9-1-5": 100, "9-5-5": 80}  # 364 to 731 seconds in their logs, on two cores
NAMES = [f"{structure}-x{scale}" for structure in EPOCHS for scale in (2, 3, 4)]


def main() -> None:
    """Train what was asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ship", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("data", metavar="DIR", help="holds T91, Set5 and Set14")
    parser.add_argument("work", metavar="WORK", help="a folder for trainings under way")
    parser.add_argument(
        "names", metavar="NAME", nargs="*", help=f"{', '.join(NAMES)} (all of them)"
    )
    options = parser.parse_args()
    unknown = set(options.names) - set(NAMES)
    if unknown:
        raise InputError(f"unknown model {', '.join(sorted(unknown))}: choose of {NAMES}")
    data, work = Path(options.data).resolve(), Path(options.work)
    for name in ("T91", *paper.SETS):
        if not (data / name).is_dir():
            raise InputError(f"{data} holds no folder {name}")
    work.mkdir(parents=True, exist_ok=True)
    os.chdir(work)  # so that the commands hold no path of this machine
    for name in ("T91", *paper.SETS):
        Path(name).unlink(missing_ok=True)
        os.symlink(data / name, name)
    for name in options.names or NAMES:
        ship(name)


def ship(name: str) -> None:
    """Train one model in this folder, measure it, and put it into the package."""
    structure, _, scale = name.rpartition("-x")
    command = f"train T91 --scale {scale} --arch {structure} --epochs {EPOCHS[structure]}"
    out = Path(f"{name}.npz")
    command += f" --watch Set5 --out {out}"
    resume = ["--resume"] if last_path(out).exists() else []
    if code := cli.main([*command.split(), *resume]):
        sys.exit(code)
    model = load_model(out)
    for test_set in paper.SETS:
        model.figures[test_set] = evaluate(test_set, int(scale), model)["mean"]["model"]
    print(name, model.figures, flush=True)
    save_model(MODELS / out.name, model, force=True)
    shutil.copy(log_path(out), log_path(MODELS / out.name))


if __name__ == "__main__":
    try:
        main()
    except (InputError, OSError) as error:
        sys.exit(f"ship: error: {error}")
    except KeyboardInterrupt:
        sys.exit("ship: interrupted")
