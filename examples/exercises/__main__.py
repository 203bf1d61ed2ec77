"""Check the pieces of a network that you wrote, and train one with them.

python -m examples.exercises check                      # how far you are
python -m examples.exercises check conv_forward         # what is wrong with one of them
python -m examples.exercises check conv_forward --hint  # and what the mistake may be
python -m examples.exercises train                      # when the first nine are right
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

FILE = Path(__file__).with_name("exercises.py")
PROGRAM = "python -m examples.exercises"

if not __package__:
    sys.exit(f"in the top folder of the checkout, write: {PROGRAM} {' '.join(sys.argv[1:])}")
try:
    from srcnn_np import InputError
    from srcnn_np.imaging import Picture, write_picture
    from srcnn_np.imaging.files import picture_format
    from srcnn_np.output import check_output

    from .apart import check_apart
    from .checks import EXERCISES
    from .running import load, told
    from .train import NEEDED, side_by_side, train
except ModuleNotFoundError as error:
    sys.exit(
        f"{PROGRAM}: error: {sys.executable} has no module {error.name}: install the package, and "
        f"activate its environment, as {FILE.with_name('README.md')} says"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code: 0 if all that was asked for is right, else 1."""
    options = _parse(arguments)
    for stream in (sys.stdout, sys.stderr):  # a terminal may not have the mathematics' signs
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    path = _relative(FILE) if options.file is None else Path(options.file)
    return _check(options, path) if options.command == "check" else _train(options, path)


def _check(options: argparse.Namespace, path: Path) -> int:
    names = list(dict.fromkeys(options.names)) or list(EXERCISES)
    for name in names:
        if name not in EXERCISES:
            raise InputError(f"there is no exercise {name!r}: choose from {', '.join(EXERCISES)}")
    findings = check_apart(names, str(path), hints=options.hint)
    left = {name: finding for name, finding in findings.items() if finding.state != "right"}
    file = "" if options.file is None else f" --file {options.file}"
    print(f"\n{len(names) - len(left)} of {len(names)} right.", end=" " if left else "\n")
    if left:
        todo = next(iter(left.values())).next
        where = "there" if options.file is None else f"in {_relative(FILE)}"
        print(f"Next: {todo} in {path}; what it does is said {where}.")
        if not options.hint:
            print(f"For a hint: {PROGRAM} check {todo.split()[-1]} --hint{file}")
    if set(NEEDED) <= set(names) - set(left):
        print(f"Now train a network with them: {PROGRAM} train{file}")
    return 1 if left else 0


def _train(options: argparse.Namespace, path: Path) -> int:
    if options.picture is not None:
        picture_format(options.picture)
        check_output(options.picture, force=options.force)
    findings = check_apart(NEEDED, str(path))
    left = [finding for finding in findings.values() if finding.state != "right"]
    if left:
        print(f"\nTraining needs these {len(NEEDED)}. Next: {left[0].next} in {path}.")
        return 1
    print()
    module = load(path)
    try:
        bicubic, network, panels = train(module)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"training ended in {told(error, str(path))}") from error
    print(
        f"bicubic interpolation: {bicubic:.2f} dB; your network: {network:.2f} dB, "
        f"{network - bicubic:+.2f}"
    )
    if options.picture is not None:
        write_picture(options.picture, Picture(side_by_side(panels)), force=options.force)
        print(f"{options.picture} shows, from left to right: {', '.join(panels)}")
    return 0 if network > bicubic else 1


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", metavar="check | train", required=True)
    checking = commands.add_parser("check", help="say which are right, and what is wrong")
    checking.add_argument("names", metavar="NAME", nargs="*", help="which ones (all)")
    checking.add_argument(
        "--hint", action="store_true", help="say too what the mistake may be, or how to begin"
    )
    training = commands.add_parser("train", help="train a small SRCNN with them")
    training.add_argument(
        "--picture", metavar="RESULT.png", help="write one: bicubic, your network, the original"
    )
    training.add_argument("--force", action="store_true", help="replace a file that is there")
    for command in (checking, training):
        command.add_argument(
            "--file", metavar="FILE", help=f"your copy of exercises.py ({_relative(FILE)})"
        )
    return parser.parse_args(arguments)


def _relative(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


if __name__ == "__main__":
    try:
        sys.exit(main())
    except InputError as error:
        sys.exit(f"{PROGRAM}: error: {error}")
    except KeyboardInterrupt:
        sys.exit(f"{PROGRAM}: interrupted")
    except BrokenPipeError:  # the reader of our output, such as `head`, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
