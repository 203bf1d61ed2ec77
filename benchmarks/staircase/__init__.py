"""From the definition to Winograd, one idea at a time: `python -m benchmarks.staircase`.

Each step is one layer forward, float32, in one thread. A step's module has an IDEA, the sizes (N,
H, W) that the step is timed on, and `prepare`, which returns a function that computes y (N, K, OH,
OW).
"""
