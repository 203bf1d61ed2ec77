"""srcnn-np show: write a figure of a model, or of its result for a picture."""

import argparse
from pathlib import Path

from ..errors import about
from .options import (
    add_force,
    add_max_pixels,
    add_scale_and_model,
    check_not_an_input,
    chosen_model,
    chosen_scale,
    home_and_stem,
    name,
    output_path,
)
from .terminal import printable, say

DESCRIPTION = "write a figure of a model, as PNG"
_FIGURES = {
    "filters": "the filters of the first layer and of the last, and what training added",
    "features": "what each layer makes of the middle of a picture",
    "gradients": "the gradients of the loss on the middle of a picture, back through the network",
    "compare": "bicubic interpolation, the model and the original, and their errors",
}


def add(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    kinds = parser.add_subparsers(metavar="FIGURE", dest="figure", required=True)
    for figure, description in _FIGURES.items():
        kind = kinds.add_parser(figure, help=description, description=description)
        default = "filters.png"
        if figure != "filters":
            default = f"PICTURE_{figure}.png"
            what = "a picture; it is made small and enlarged again"
            kind.add_argument("picture", metavar="PICTURE", type=name, help=what)
            add_max_pixels(kind)
        kind.add_argument(
            "-o", "--output", metavar="OUT", type=name, help=f"a PNG; default: {default}"
        )
        add_scale_and_model(kind)
        add_force(kind)


def run(options: argparse.Namespace) -> int:
    """Write a figure of a model, or of its result for a picture."""
    from .. import figures
    from ..data import to_channels
    from ..imaging import read_picture
    from ..output import check_output

    if options.figure == "filters":
        target = output_path(options.output, Path(), "filters.png")
    else:
        source = Path(options.picture)
        home, stem = home_and_stem(options.picture)
        target = output_path(options.output, home, f"{stem}_{options.figure}.png")
        check_not_an_input(target, source, "the picture to enlarge")
    figures.check_png(target)
    check_output(target, force=options.force)
    chosen, model = chosen_model(options)
    title = f"model {Path(chosen).name}"
    if options.figure == "filters":
        figure = figures.filters(model, figures.starting_params(model))
    else:
        picture = read_picture(source, max_pixels=options.max_pixels)
        scale = chosen_scale(options, model)
        title = f"{source.name}, x{scale}, {title}"
        draw = getattr(figures, options.figure)
        measured = options.figure == "compare"
        with about(source):
            x = to_channels(picture, model.colour, grey_is_luma=measured)
            figure = draw(x, scale, model)
    figures.save(target, figure, title=printable(title), force=options.force)
    say(f"{options.figure} -> {target}")
    return 0
