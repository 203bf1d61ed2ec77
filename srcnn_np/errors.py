class InputError(ValueError):
    """Something that came from outside (a file, a name, a number) cannot be used.

    The message is one sentence: what is wrong, where, and what to do. The
    command line prints it alone and exits with 1; a Python caller catches a
    ValueError.
    """
