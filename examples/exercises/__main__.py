"""Check the pieces of a network that you wrote, and train one with them.

python -m examples.exercises check         # how far you are
python -m examples.exercises check im2col  # one of them
python -m examples.exercises train         # when all eleven are right
"""

import argparse
import os
import sys
import textwrap
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

    from .checks import EXERCISES
    from .running import Finding, check, load, told
    from .train import side_by_side, train
except ModuleNotFoundError as error:
    sys.exit(
        f"{PROGRAM}: error: {sys.executable} has no module {error.name}: install the package, and "
        f"activate its environment, as {FILE.with_name('README.md')} says"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code: 0 if all that was asked for is right, else 1."""
    options = _parse(arguments)
    for stream in (sys.stdout, sys.stderr):  # a terminal may not have the mathematics' signs
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    names = (options.command == "check" and options.names) or list(EXERCISES)
    for name in names:
        if name not in EXERCISES:
            raise InputError(f"there is no exercise {name!r}: choose from {', '.join(EXERCISES)}")
    if options.command == "train" and options.picture is not None:
        picture_format(options.picture)
        check_output(options.picture, force=options.force)
    path = _relative(FILE) if options.file is None else Path(options.file)
    module = load(path)
    left = []
    for name in names:
        finding = check(name, module)
        if finding.state != "right":
            left.append(finding)
        if options.command == "check" or finding.state != "right":
            _print(name, finding)
    if options.command == "check" or left:
        print(f"\n{len(names) - len(left)} of {len(names)} right.", end=" " if left else "\n")
    if left:
        needed = "" if options.command == "check" else "Training needs them all. "
        where = "there" if options.file is None else f"in {_relative(FILE)}"
        print(f"{needed}Next: {left[0].next} in {path}; what it does is said {where}.")
        return 1
    if options.command == "check":
        if len(names) == len(EXERCISES):
            file = "" if options.file is None else f" --file {options.file}"
            print(f"Now train a network with them: {PROGRAM} train{file}")
        return 0
    try:
        bicubic, network, panels = train(module)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"training ended in {told(error, str(path))}") from error
    print(f"your network: {network:.2f} dB, {network - bicubic:+.2f} dB against bicubic")
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
    checking = commands.add_parser("check", help="say which are right, and how others are wrong")
    checking.add_argument("names", metavar="NAME", nargs="*", help="which ones (all)")
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


def _print(name: str, finding: Finding) -> None:
    width = max(map(len, EXERCISES)) + 2
    lines = textwrap.wrap(finding.words, 88 - width, break_long_words=False, break_on_hyphens=False)
    print(f"{name:{width}}{finding.state}", *(" " * width + line for line in lines), sep="\n")
    sys.stdout.flush()  # the next may be long in coming


if __name__ == "__main__":
    try:
        sys.exit(main())
    except InputError as error:
        sys.exit(f"{PROGRAM}: error: {error}")
    except KeyboardInterrupt:
        sys.exit(f"{PROGRAM}: interrupted")
    except BrokenPipeError:  # the reader of our output, such as `head`, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
