"""Arguments that several commands share, and their parsers."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError, brief

if TYPE_CHECKING:
    from ..model import Model

SCALES = (2, 3, 4)


def add_force(parser: argparse.ArgumentParser) -> None:
    """Add --force."""
    parser.add_argument("--force", action="store_true", help="replace files that are there already")


def add_scale_and_model(parser: argparse.ArgumentParser) -> None:
    """Add --scale and --model."""
    parser.add_argument(
        *("-s", "--scale"), type=int, choices=SCALES, help="enlargement (default: the model's)"
    )
    parser.add_argument(
        *("-n", "--model"),
        metavar="NAME-OR-PATH",
        type=name,
        help="a name that `srcnn-np models` lists, or a .npz or .mat file",
    )


def add_max_pixels(parser: argparse.ArgumentParser) -> None:
    """Add --max-pixels."""
    parser.add_argument(
        "--max-pixels",
        metavar="N",
        type=positive(int),
        help="read pictures of up to N pixels (178956970)",
    )


def chosen_model(options: argparse.Namespace) -> tuple[str, "Model"]:
    """Return a model and, first, its name: --model's, or else the default model for --scale."""
    from ..model import default_name, load_model

    if options.model is None and options.scale is None:
        raise InputError("give --scale 2, 3 or 4, or a model with --model")
    chosen = default_name(options.scale) if options.model is None else options.model
    model = load_model(chosen)
    if options.scale is not None:
        model.check_scale(options.scale)
    return chosen, model


def chosen_scale(options: argparse.Namespace, model: "Model") -> int:
    """Return --scale, or else the model's scale."""
    scale = model.scale if options.scale is None else options.scale
    if scale is None:
        raise InputError(f"{options.model} does not say its scale; give --scale 2, 3 or 4")
    return scale


def output_path(output: str | None, folder: Path, default: str) -> Path:
    """Return the path of a result.

    It is `output`, or the file `default` in it if it is a folder. Without `output` it is `default`
    in `folder`.
    """
    target = folder if output is None else Path(output)
    return target / default if target.is_dir() else target


def home_and_stem(source: str) -> tuple[Path, str]:
    """Return the folder in which a picture lies, and its name without the ending."""
    path = Path(source)
    return (Path(), "stdin") if source in ("-", "/dev/stdin") else (path.parent, path.stem)


def check_not_an_input(path: Path, source: str | Path, what: str) -> None:
    """Raise an InputError if a result would replace the file that it is made from."""
    if os.path.realpath(path) == os.path.realpath(source):
        raise InputError(f"{path} is {what}; give another name for the result")


def name(text: str) -> str:
    """Parse a file's name."""
    if not text:
        raise argparse.ArgumentTypeError("the name is empty")
    if "\0" in text:
        raise argparse.ArgumentTypeError("a name holds no zero byte")
    return text


def positive(kind: type) -> Any:
    """Return a parser of numbers above 0."""

    def parse(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = 0
        if not 0 < value < float("inf") or (kind is int and value >= 1 << 62):
            what = "whole number" if kind is int else "number"
            raise argparse.ArgumentTypeError(f"give a {what} above 0, not {brief(text)}")
        return value

    return parse


def not_negative(text: str) -> int:
    """Parse a whole number of at least 0."""
    if not text.isdecimal() or len(text) > 18:
        raise argparse.ArgumentTypeError(f"give a whole number of at least 0, not {brief(text)}")
    return int(text)


def counts(text: str) -> tuple[int, ...]:
    """Parse filter counts such as 64-32."""
    return tuple(positive(int)(part) for part in text.split("-"))


def share(text: str) -> float:
    """Parse a number from 0 to below 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"give 0 or more, below 1, not {brief(text)}")
    return value


def fractions(text: str) -> tuple[float, ...]:
    """Parse numbers between 0 and 1, such as 0.9,0.8."""
    try:
        values = tuple(map(float, text.split(",")))
    except ValueError:
        values = (0.0,)
    if not all(0 < value < 1 for value in values):
        what = f"give numbers above 0, below 1, such as 0.9,0.8, not {brief(text)}"
        raise argparse.ArgumentTypeError(what)
    return values


def a_range(kind: type) -> Any:
    """Return a parser of ranges such as 60-90, or of one number for both ends."""

    def parse(text: str) -> tuple:
        low, _, high = text.partition("-")
        try:
            return kind(low), kind(high or low)
        except ValueError:
            example = "60-90" if kind is int else "1-9"
            what = f"give a lowest and a highest number, such as {example}, not {brief(text)}"
            raise argparse.ArgumentTypeError(what) from None

    return parse


def percent(text: str) -> int:
    """Parse a whole number from 1 to 100."""
    value = not_negative(text)
    if not 1 <= value <= 100:
        raise argparse.ArgumentTypeError(f"give 1 to 100, not {brief(text)}")
    return value


def two_sides(text: str) -> tuple[int, int]:
    """Parse a size such as 1920x1080."""
    W, _, H = text.lower().partition("x")
    try:
        return positive(int)(W), positive(int)(H)
    except argparse.ArgumentTypeError:
        what = f"give a width and a height, such as 1920x1080, not {brief(text)}"
        raise argparse.ArgumentTypeError(what) from None
