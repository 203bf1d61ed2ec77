"""From the definition to Winograd, one idea at a time: `python -m benchmarks.staircase`.

Each step is one layer forward, float32, in one thread. Its module has an IDEA, the sizes of what it
is timed on, (N, H, W), and `prepare`, which gives a function that computes y (N, K, OH, OW).
"""
