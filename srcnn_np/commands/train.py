"""srcnn-np train: train a network on a folder of photographs, or on drawn pictures."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError, brief
from ..team import Team
from .options import (
    SCALES,
    a_range,
    add_force,
    counts,
    fractions,
    name,
    not_negative,
    positive,
    share,
)
from .terminal import bar, listed, say, silent

if TYPE_CHECKING:
    from ..model import Model
    from ..pictures import Pictures

DESCRIPTION = "train a network on a folder of photographs"


def add(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument(
        "folder", metavar="DIR", type=name, nargs="?", help="a folder of photographs"
    )
    parser.add_argument(
        "--drawn", metavar="COUNT", type=positive(int), help="draw COUNT pictures instead"
    )
    parser.add_argument(
        *("-s", "--scale"), type=int, choices=SCALES, required=True, help="enlargement"
    )
    parser.add_argument(
        "--arch", metavar="F1-F2-F3", help="filter sizes (9-1-5); or fsrcnn, or fsrcnn-s"
    )
    parser.add_argument("--filters", metavar="N1-N2", type=counts, help="filter counts (64-32)")
    parser.add_argument(
        "--colour",
        choices=("luma", "ycbcr"),
        help="what the network sees: luma alone (the default), or Y, Cb and Cr",
    )
    parser.add_argument(
        "--from",
        dest="start",
        metavar="MODEL",
        type=name,
        help="begin with a model's weights: a name that `srcnn-np models` lists, or a file; if "
        "an FSRCNN has another scale, its last layer is drawn anew",
    )
    parser.add_argument(
        "--jpeg",
        metavar="LOW-HIGH",
        type=a_range(int),
        help="save the small pictures as JPEG first, at qualities from LOW to HIGH",
    )
    parser.add_argument(
        "--noise",
        metavar="LOW-HIGH",
        type=a_range(float),
        help="add noise to the small pictures first: standard deviation LOW to HIGH, white is 255",
    )
    parser.add_argument(
        "--copies",
        metavar="F,F,...",
        type=fractions,
        default=(),
        help="also learn from copies of the pictures, F times as large, such as 0.9,0.8,0.7,0.6",
    )
    parser.add_argument(
        *("-o", "--out"), metavar="MODEL.npz", type=name, required=True, help="model file to write"
    )
    parser.add_argument(
        "--recipe",
        choices=("fast", "sgd", "adam", "paper", "fsrcnn"),
        help="how to train (default: fast, or fsrcnn for an FSRCNN)",
    )
    parser.add_argument(
        "--only-last",
        action="store_true",
        help="with --from, change only the last layer",
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--epochs",
        metavar="N",
        type=positive(float),
        help="how often each sub-image is seen",
    )
    length.add_argument(
        "--minutes", metavar="M", type=positive(float), help="train for about M minutes"
    )
    parser.add_argument(
        "--rate", metavar="R", type=positive(float), help="learning rate (default: the recipe's)"
    )
    parser.add_argument(
        "--batch", metavar="N", type=positive(int), help="sub-images in a mini-batch (the recipe's)"
    )
    parser.add_argument(
        "--size", metavar="N", type=positive(int), help="side of the sub-images (the recipe's)"
    )
    parser.add_argument(
        "--schedule",
        choices=("constant", "cosine"),
        help="whether the rate stays, or falls to 0 (the recipe's)",
    )
    parser.add_argument(
        "--average",
        metavar="A",
        type=share,
        help="the result is the parameters' running mean a <- A a + (1 - A) p (the recipe's)",
    )
    parser.add_argument(
        "--seed", metavar="N", type=not_negative, default=0, help="seed of everything random (0)"
    )
    parser.add_argument(
        "--validations",
        metavar="N",
        type=positive(int),
        default=20,
        help="how often held-out pictures are measured and the state is saved (20)",
    )
    parser.add_argument(
        "--watch", metavar="DIR", type=name, help="also measure this folder, for the log only"
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on where the same command was interrupted"
    )
    add_force(parser)
    parser.set_defaults(smaller="give fewer or smaller pictures, or a smaller --batch", shared=True)


def run(options: argparse.Namespace) -> int:
    """Train a network on a folder of photographs, or on drawn pictures."""
    with silent(options.team.rank > 0):
        return _run(options)


def _run(options: argparse.Namespace) -> int:
    from dataclasses import replace

    from ..checkpoint import last_path, log_path, resumed_epochs
    from ..data import draw_pictures, hold_out, is_large_enough, to_channels, with_copies
    from ..imaging import Picture
    from ..model import check_name
    from ..output import check_output
    from ..recipe import RECIPES
    from ..training import epochs_in, train

    if (options.folder is None) == (options.drawn is None):
        raise InputError("give either a folder of photographs or --drawn COUNT")
    # Checked before pictures are read; `train` checks again.
    files = check_name(options.out), last_path(options.out), log_path(options.out)
    force = options.force or options.resume
    options.team.by_first(lambda: [check_output(path, force=force) for path in files])
    model = _model_at_the_start(options)
    recipe = RECIPES[options.recipe or ("fsrcnn" if model.network.zoom > 1 else "fast")]
    names = ("epochs", "rate", "batch", "size", "schedule", "average", "only_last", "jpeg", "noise")
    changes = {name: getattr(options, name) for name in names}
    recipe = replace(recipe, **{name: value for name, value in changes.items() if value})
    if options.only_last and options.start is None:
        raise InputError("--only-last goes with --from: layers that know nothing must learn")
    if options.start is not None:
        recipe = replace(recipe, init=None)
    # JPEG's way to keep colour leaves traces in luma.
    colour = "ycbcr" if recipe.degradation else model.colour
    if options.folder is None:
        drawn = draw_pictures(options.drawn, seed=options.seed)
        pictures = [to_channels(Picture(p), model.colour, grey_is_luma=True) for p in drawn]
        source = f"{options.drawn} drawn pictures"
    else:
        pictures = _photographs(options.folder, options.team, colour=colour)
        source = f"{len(pictures)} pictures of {Path(options.folder).resolve().name}"
    watched = []
    if options.watch is not None:
        watched = _photographs(options.watch, options.team, colour=colour, grey_is_luma=True)
    least = 2 * options.scale + 1  # so that something is left inside the border
    small = [p for p in watched if not is_large_enough(p.shape, options.scale, least)]
    if small:
        raise InputError(
            f"{options.watch} holds {len(small)} pictures too small to be measured at scale "
            f"{options.scale}; give a folder without them"
        )
    pictures, held_out = hold_out(pictures, options.scale, recipe.size)
    if options.copies:
        pictures = with_copies(pictures, options.copies, options.team)
        source += f", and copies at {', '.join(f'{f:g}' for f in options.copies)} of their size"
    model.training |= {"pictures": source, "command": options.command}
    if options.minutes is not None:
        if options.resume:
            epochs = options.team.by_first(lambda: resumed_epochs(options.out))
        else:
            epochs = epochs_in(options.minutes, model, pictures, recipe, options.team)
            say(f"{options.minutes:g} minutes are about {epochs:.4g} epochs here")
        recipe = replace(recipe, epochs=epochs)
    history = train(
        model,
        pictures,
        held_out,
        recipe,
        seed=options.seed,
        watched=watched,
        validations=options.validations,
        out=options.out,
        force=options.force,
        resume=options.resume,
        team=options.team,
    )
    best = max(row["psnr"] for row in history.validations)
    bicubic = history.bicubic["psnr"]
    say(
        f"held-out pictures: {best:.2f} dB, bicubic {bicubic:.2f} dB; best state in "
        f"{options.out}, last in {last_path(options.out)}, log in {log_path(options.out)}"
    )
    if history.advice:
        say(f"that is worse than bicubic interpolation: {history.advice}")
    return 0


def _model_at_the_start(options: argparse.Namespace) -> "Model":
    from ..model import Model, load_model
    from ..network import FSRCNN, FSRCNNS, SRCNN, for_scale

    if options.start is None:
        colour = options.colour or "luma"
        channels = {"luma": 1, "ycbcr": 3}[colour]
        arch = "9-1-5" if options.arch is None else options.arch.lower()
        if arch in FSRCNNS:
            if options.filters is not None:
                raise InputError(f"--arch {arch} says its filters; leave out --filters")
            network = FSRCNN(*FSRCNNS[arch], scale=options.scale, channels=channels)
        elif arch[:1].isdigit():
            network = SRCNN(arch, filters=options.filters or (64, 32), channels=channels)
        else:
            raise InputError(
                f"unknown --arch {brief(options.arch)}: give filter sizes, such as 9-1-5, or "
                f"{' or '.join(FSRCNNS)}"
            )
        return Model(network, options.scale, colour)
    for option in ("arch", "filters", "colour"):
        if getattr(options, option) is not None:
            raise InputError(f"--{option} is the model's of --from; leave it out")
    start = load_model(options.start)
    before = {**start.training, "figures": start.figures}
    network, about = start.network, {"from": options.start, "before": before}
    if network.zoom not in (1, options.scale):
        network = for_scale(network, options.scale, options.seed)
    return Model(network, options.scale, start.colour, start.enlargement, about)


def _photographs(folder: str, team: Team, *, colour: str, grey_is_luma: bool = False) -> "Pictures":
    """Read the pictures of a folder; name the files that are left out."""
    from ..data import read_folder

    how = {"team": team, "progress": bar(" pictures")}
    pictures, skipped = read_folder(folder, colour, grey_is_luma=grey_is_luma, **how)
    if skipped:
        say(f"skipped in {folder}: {listed(skipped)}")
    return pictures
