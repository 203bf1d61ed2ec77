"""srcnn-np models: list the models that come with the package."""

import argparse

from .options import SCALES, name
from .terminal import say

DESCRIPTION = "list the models that come with the package"


def add(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument(
        "name", metavar="NAME-OR-PATH", type=name, nargs="?", help="print this model's card"
    )
    parser.add_argument("--json", action="store_true", help="print all models' cards, as JSON")


def run(options: argparse.Namespace) -> int:
    """List the shipped models, or print one model's card."""
    import json

    from ..model import default_name, load_model, shipped_models
    from ..paper import SETS

    if options.name is not None or options.json:
        if options.name is not None:
            card = load_model(options.name).card()
        else:
            card = {found: load_model(found).card() for found in shipped_models()}
        for line in json.dumps(card, indent=1).splitlines():
            say(line)
        return 0
    defaults = {default_name(scale) for scale in SCALES}
    say(f"{'':18}scale  structure         parameters   Set5  Set14  for pictures")
    for found in shipped_models():
        model = load_model(found)
        count = sum(p.size for p in model.network.params.values())
        psnrs = [f"{model.figures[s]['psnr']:.2f}" if model.figures else "-" for s in SETS]
        say(
            f"{found + (' *' if found in defaults else ''):18}x{model.scale:<5} "
            f"{model.network.structure:17} {count:10,}{''.join(f'{p:>7}' for p in psnrs)}  "
            f"{_harm(model.training['recipe'])}"
        )
    say(
        "Set5, Set14: mean PSNR in dB. Where no --model is given, * or what suits the picture is "
        "used. `srcnn-np models NAME` says how it was trained."
    )
    return 0


def _harm(recipe: dict) -> str:
    """Return the harm done to the pictures that a model learnt from."""
    if recipe.get("jpeg"):
        return "saved as JPEG of quality {} to {}".format(*recipe["jpeg"])
    if recipe.get("noise"):
        return "with noise of {:g} to {:g} of 255".format(*recipe["noise"])
    return "that are clean"
