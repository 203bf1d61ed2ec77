"""All steps, as a table in Markdown."""

from . import naive, packed, registers, shifted_rows, winograd
from .measure import main

STEPS = [naive, shifted_rows, registers, packed, winograd]

if __name__ == "__main__":
    main(STEPS)
