"""How fast, and why: `python -m benchmarks --help`."""
