"""srcnn-np upscale: enlarge pictures, and all the pictures of folders."""

import argparse
import os
from typing import TYPE_CHECKING

from ..errors import InputError
from .options import add_force, add_max_pixels, add_scale_and_model, name
from .terminal import complain, listed, notice, say

if TYPE_CHECKING:
    from ..batch import Plan

DESCRIPTION = "enlarge pictures, or every picture of a folder"


def add(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument(
        "inputs",
        metavar="IN",
        type=name,
        nargs="+",
        help="a picture, a folder of pictures, or - for a picture on standard input",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        type=name,
        help="a file for one picture (its ending says the format), a folder for several; "
        "default: IN_x3.png beside the picture, IN_x3/ for a folder's",
    )
    add_scale_and_model(parser)
    parser.add_argument(
        "--compare",
        metavar="FILE",
        type=name,
        help="also write bicubic enlargement and result side by side",
    )
    add_max_pixels(parser)
    there = parser.add_mutually_exclusive_group()
    there.add_argument(
        "--skip-existing",
        action="store_true",
        help="leave results that are there already: go on where a run was broken off",
    )
    add_force(there)
    parser.set_defaults(shared=True)


def run(options: argparse.Namespace) -> int:
    """Enlarge pictures; what is wrong with one costs that one."""
    from ..batch import enlarge_all
    from ..model import default_model, load_model

    model = default_model(options.scale) if options.model is None else load_model(options.model)
    model.check_scale(options.scale)
    team = options.team
    todo = team.by_first(lambda: _planned(options))
    count = len(todo.jobs) + len(todo.problems)
    done, failures = 0, 0
    how = {"force": options.force, "max_pixels": options.max_pixels, "team": team}
    try:
        for result in enlarge_all(todo, options.scale, model, compare=options.compare, **how):
            if result.why:
                failures += 1
                complain(result.why)
                continue
            done += 1
            H, W = result.size
            lost = f"; not kept: {', '.join(result.lost)}" if result.lost else ""
            say(f"{result.job.source} -> {result.job.target} ({W} x {H}){lost}")
    except KeyboardInterrupt as interrupt:
        after = f" after {done} of {count} pictures" if team.size == 1 else ""
        interrupt.args = (
            f"interrupted{after}; the same command with --skip-existing makes the others",
        )
        raise
    failures = len(todo.problems) + sum(team.gather(failures))
    if failures and count > 1 and team.rank == 0:
        complain(f"{failures} of {count} pictures could not be enlarged")
    return 1 if failures else 0


def _planned(options: argparse.Namespace) -> "Plan":
    """What is to be done; says what is not."""
    from ..batch import plan

    if options.compare is not None and options.skip_existing:
        raise InputError("--compare does not go with --skip-existing; leave out one of them")
    todo = plan(options.inputs, options.output, options.scale, skip_existing=options.skip_existing)
    count = len(todo.jobs) + len(todo.problems)
    if options.compare is not None and (count > 1 or todo.folders):
        raise InputError("--compare goes with one picture; give one, and no folder")
    there = [job for job in todo.jobs if os.path.isfile(job.target)]
    if there and count > 1 and not options.force:
        more = f" and {len(there) - 1} more exist" if len(there) > 1 else " exists"
        raise InputError(
            f"{there[0].target}{more} already; --skip-existing leaves what is there and makes the "
            "others, --force replaces it"
        )
    if todo.existing:
        say(f"{todo.existing} of {count + todo.existing} left as before")
    if todo.others:
        notice(f"left out, as no pictures: {listed(todo.others)}")
    for sentence in todo.problems:
        complain(sentence)
    return todo
