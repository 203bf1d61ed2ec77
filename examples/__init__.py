"""See it learn: `python examples/train_toy.py`; write it: `python -m examples.exercises --help`."""
