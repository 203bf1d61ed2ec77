"""srcnn-np explore: open the page for playing with a convolution and its gradients."""

import argparse
import webbrowser
from importlib.resources import as_file, files

from .terminal import say

DESCRIPTION = "open, in your browser, a page on which you see a gradient"


def add(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""


def run(options: argparse.Namespace) -> int:
    """Open the page, and say where it is: there may be no browser here."""
    with as_file(files("srcnn_np") / "explore.html") as found:
        page = found.resolve()  # in a checkout: in docs/explore, where its links work
        opened = webbrowser.open(page.as_uri())
        say(f"{page}" if opened else f"open this file in a browser: {page}")
    return 0
