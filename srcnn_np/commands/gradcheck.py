"""srcnn-np gradcheck: check every gradient against numerical derivatives."""

import argparse

from .options import not_negative
from .terminal import say

DESCRIPTION = "check every gradient against numerical derivatives"


def add(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument(
        "--seed", metavar="N", type=not_negative, default=0, help="seed of the random inputs (0)"
    )


def run(options: argparse.Namespace) -> int:
    """Compare every hand-written gradient with numerical derivatives."""
    from ..gradcheck import TOLERANCE, standard_checks

    limits = ", ".join(f"{limit:g} by {method}" for method, limit in TOLERANCE.items())
    say(f"largest relative error; allowed: {limits}")
    say(
        f"{'':40}{'backend':9}{'gradient':10}{'values':>6}{'at kinks':>10}"
        + "".join(f"{method:>15}" for method in TOLERANCE)
    )
    failures = rows = 0
    for what, backend, gradient, checks in standard_checks(options.seed):
        rows += 1
        wrong = not all(check.passes(method) for method, check in checks.items())
        failures += wrong
        first = next(iter(checks.values()))
        errors = (f"{checks[m].error:.1e}" if m in checks else "-" for m in TOLERANCE)
        say(
            f"{what:40}{backend:9}{gradient:10}{first.compared:6}{first.skipped:10}"
            + "".join(f"{error:>15}" for error in errors)
            + ("  WRONG" if wrong else "")
        )
    say(f"{failures} of {rows} gradients are wrong" if failures else f"all {rows} gradients agree")
    return 1 if failures else 0
