"""srcnn-np report: write a page that lays a picture's enlargements over each other."""

import argparse
from pathlib import Path

from ..errors import InputError, about
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
from .terminal import say

DESCRIPTION = "write a page that lays a picture's enlargements over each other"


def add(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    what = "a picture; it is made small and enlarged again"
    parser.add_argument("picture", metavar="PICTURE", type=name, help=what)
    parser.add_argument(
        "-o", "--output", metavar="OUT", type=name, help="an HTML file; default: PICTURE.html"
    )
    add_scale_and_model(parser)
    parser.add_argument(
        "--enlarge",
        action="store_true",
        help="PICTURE is the small picture: enlarge it; there is no original to compare with",
    )
    parser.add_argument(
        "--log",
        metavar="CSV",
        type=name,
        help="the log of the model's training; default: MODEL-log.csv, if it exists",
    )
    add_max_pixels(parser)
    add_force(parser)


def run(options: argparse.Namespace) -> int:
    """Write a page that lays a picture's enlargements over each other."""
    from ..checkpoint import log_path, read_log
    from ..choice import choose
    from ..imaging import read_picture
    from ..model import load_model, shipped_models
    from ..output import check_output, writing
    from ..report import report

    source = Path(options.picture)
    home, stem = home_and_stem(options.picture)
    target = output_path(options.output, home, f"{stem}.html")
    if target.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{target}: a report is a page; give a name ending in .html")
    check_not_an_input(target, source, "the picture to enlarge")
    if options.log is not None:
        check_not_an_input(target, options.log, "the log")
    check_output(target, force=options.force)
    chosen, model = chosen_model(options)
    scale = chosen_scale(options, model)
    picture = read_picture(source, max_pixels=options.max_pixels)
    if options.enlarge and options.model is None:  # as `upscale` does
        chosen, _ = choose(picture, scale)
        model = load_model(chosen)
    log, beside = options.log, log_path(shipped_models().get(chosen, chosen))
    if log is None and beside.is_file():
        log = beside
    rows = None if log is None else read_log(log)
    if options.log is not None and not rows:
        raise InputError(f"{log} holds no row yet; give the log of a training that has begun")
    with about(source):
        html = report(
            picture,
            scale,
            model,
            name=source.name,
            model_name=Path(chosen).name,
            rows=rows,
            original=not options.enlarge,
        )
    with writing(target, force=options.force) as part:
        # A file name may hold bytes that are not text.
        part.write_text(html, "utf-8", "backslashreplace")
    say(f"{source} -> {target}")
    return 0
