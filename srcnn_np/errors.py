"""What is said about input that cannot be used."""

import reprlib


class InputError(ValueError):
    """Something that came from outside (a file, a name, a number) cannot be used.

    The message is one sentence: what is wrong, where, and what to do. The
    command line prints it alone and exits with 1; a Python caller catches a
    ValueError.
    """


def brief(value: object) -> str:
    """A value as Python writes it, cut where that is long, to be quoted in a sentence."""
    return _SHORT.repr(value)


_SHORT = reprlib.Repr()
_SHORT.maxlevel = 1
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 40
