"""srcnn-np upscale: enlarge pictures, and all the pictures of folders."""

import argparse
import json
import os
import time
from itertools import chain
from typing import TYPE_CHECKING

from ..errors import InputError
from .options import add_force, add_max_pixels, name, percent, positive, two_sides
from .terminal import bar, complain, counting, listed, notice, say

if TYPE_CHECKING:
    from ..batch import Plan, Result
    from ..upscaling import Goal

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
        help="a file for one picture (its ending says the format), a folder for several, or - for "
        "standard output; default: IN_x3.png beside a picture IN, IN_x3/ beside a folder IN",
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "-s",
        "--scale",
        metavar="S",
        type=positive(float),
        help="enlarge both sides S times, up to 16, such as 2, 1.5 or 8 (default: the model's)",
    )
    size.add_argument("--width", metavar="W", type=positive(int), help="width in pixels")
    size.add_argument("--height", metavar="H", type=positive(int), help="height in pixels")
    size.add_argument(
        "--fit", metavar="WxH", type=two_sides, help="as large as fits into W x H pixels"
    )
    parser.add_argument(
        "-n",
        "--model",
        metavar="NAME-OR-PATH",
        type=name,
        help="a name that `srcnn-np models` lists, a .npz or .mat file, or bicubic "
        "(default: the model that suits the picture)",
    )
    parser.add_argument(
        "--repair",
        metavar="LEVEL",
        help="what to repair: auto (the default) looks for traces of JPEG and noise; off repairs "
        "nothing; or one of jpeg95, jpeg75, jpeg50, jpeg30, jpeg10, noise5, noise20",
    )
    parser.add_argument(
        "-r", "--recursive", action="store_true", help="enter the folders inside folders, too"
    )
    parser.add_argument(
        "--format",
        choices=("png", "jpg", "webp", "tif", "same"),
        help="format of results whose names are not given; same keeps the picture's own (png)",
    )
    parser.add_argument(
        "--quality",
        metavar="Q",
        type=percent,
        help="quality of JPEG (95) or WebP (lossless), from 1 to 100",
    )
    parser.add_argument(
        "--compare",
        metavar="FILE",
        type=name,
        help="also write the bicubic enlargement and the result, side by side",
    )
    add_max_pixels(parser)
    there = parser.add_mutually_exclusive_group()
    there.add_argument(
        "--skip-existing",
        action="store_true",
        help="keep results that are there already, to go on where a run was broken off",
    )
    add_force(there)
    said = parser.add_mutually_exclusive_group()
    said.add_argument("-q", "--quiet", action="store_true", help="say only what is wrong")
    said.add_argument(
        "--json", action="store_true", help="print each picture's outcome as a line of JSON"
    )
    parser.set_defaults(shared=True)


def run(options: argparse.Namespace) -> int:
    """Enlarge pictures; a problem with one picture stops only that picture."""
    from ..batch import enlarge_all
    from ..choice import REPAIRS
    from ..upscaling import BICUBIC, Goal

    if options.repair is not None and options.model is not None:
        raise InputError("--repair chooses a model, and so does --model; leave out one of them")
    if options.json and options.output == "-":
        raise InputError("--json and -o - both go to standard output; leave out one of them")
    if options.repair not in (None, *REPAIRS):
        raise InputError(f"--repair takes one of {', '.join(REPAIRS)}, not {options.repair}")
    sizes = {side: getattr(options, side) for side in ("scale", "width", "height", "fit")}
    if not any(sizes.values()) and options.model in (None, BICUBIC):
        raise InputError("give --scale, --width, --height or --fit, or a model that has a scale")
    goal = Goal(**sizes, model=options.model, repair=options.repair or "auto")
    team, piped = options.team, options.output == "-"
    todo = team.by_first(lambda: _planned(options, goal))
    count = len(todo.jobs) + len(todo.problems)
    done, failed = 0, []
    how = {"force": options.force, "max_pixels": options.max_pixels, "team": team}
    how |= {"compare": options.compare, "quality": options.quality, "ending": _ending(options)}
    if count == 1 and not options.quiet:
        how["progress"] = bar(" strips")
    before = time.monotonic()
    with counting(0 if options.quiet or team.size > 1 else count, " pictures") as one_more:
        try:
            for result in enlarge_all(todo, goal, **how):
                seconds, before = time.monotonic() - before, time.monotonic()
                done += not result.why
                failed += [str(result.job.source)] * bool(result.why)
                with one_more():
                    if result.why:
                        complain(result.why)
                    if options.json:
                        say(_as_json(result, seconds))
                    elif not (result.why or options.quiet or piped):
                        say(_line(result))
        except KeyboardInterrupt as interrupt:
            after = f" after {done} of {count} pictures" if team.size == 1 else ""
            interrupt.args = (
                f"interrupted{after}; the same command with --skip-existing makes the others",
            )
            raise
    done, failed = sum(team.gather(done)), list(chain(*team.gather(failed)))
    failed = [str(source) for source, _ in todo.problems] + failed
    if count + 2 * len(todo.existing) > 1 and team.rank == 0:
        _sum_up(options, done, len(todo.existing), failed)
    return 1 if failed else 0


def _sum_up(options: argparse.Namespace, done: int, skipped: int, failed: list[str]) -> None:
    names = f": {listed(failed)}" if failed else ""
    line = f"{done} enlarged, {skipped} skipped, {len(failed)} failed{names}"
    if failed:
        complain(line)
    elif options.json:
        notice(line)
    elif not options.quiet:
        say(line)


def _line(result: "Result") -> str:
    H, W = result.size
    said = f"; {result.said}" if result.said else ""
    lost = f"; not kept: {', '.join(result.lost)}" if result.lost else ""
    return f"{result.job.source} -> {result.job.target} ({W} x {H}{said}){lost}"


def _as_json(result: "Result", seconds: float) -> str:
    found = {"source": str(result.job.source), "target": str(result.job.target)}
    if result.why:
        return json.dumps(found | {"error": result.why})
    H, W = result.size
    found |= {"width": W, "height": H, "seen": result.said, "not_kept": list(result.lost)}
    return json.dumps(found | {"seconds": round(seconds, 2)})


def _ending(options: argparse.Namespace) -> str:
    return "same" if options.format == "same" else f".{options.format or 'png'}"


def _planned(options: argparse.Namespace, goal: "Goal") -> "Plan":
    """Return the plan; report what is left out."""
    from ..batch import plan

    if options.compare is not None and options.skip_existing:
        raise InputError("--compare does not go with --skip-existing; leave out one of them")
    todo = plan(
        options.inputs,
        options.output,
        goal.label,
        ending=_ending(options),
        recursive=options.recursive,
        skip_existing=options.skip_existing,
    )
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
    if todo.others:
        notice(f"left out: {listed(todo.others)}")
    for job in todo.existing if options.json else ():
        say(json.dumps({"source": str(job.source), "target": str(job.target), "skipped": True}))
    for source, why in todo.problems:
        complain(why)
        if options.json:
            say(json.dumps({"source": str(source), "error": why}))
    return todo
