"""A plot with a bar for every contestant of every race."""

import numpy as np


def draw(tables: list[dict], rates: dict[str, float], path: str) -> None:
    """Write a picture: GFLOP/s by the direct count, and the machine's rates as lines."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    columns = min(3, len(tables))
    lines = -(-len(tables) // columns)
    figure, axes = pyplot.subplots(
        lines, columns, figsize=(6 * columns, 3 * lines), squeeze=False, layout="constrained"
    )
    for axis in axes.flat[len(tables) :]:
        axis.set_axis_off()
    for axis, table in zip(axes.flat, tables, strict=False):
        rows = sorted(
            (row for row in table["rows"] if "seconds" in row), key=lambda row: row["gflops"]
        )
        colours = [
            "tab:orange" if row["contestant"].startswith("srcnn_np") else "tab:blue" for row in rows
        ]
        places = np.arange(len(rows))
        axis.barh(places, [row["gflops"] for row in rows], color=colours)
        axis.set_yticks(places, [row["name"] for row in rows], fontsize=7)
        for name, style in (("FMA", "-"), ("SGEMM", "--")):
            axis.axvline(rates[name], color="gray", linestyle=style, linewidth=1, label=name)
        axis.set_title(table["title"], fontsize=9)
        axis.set_xlabel("GFLOP/s of the direct sum", fontsize=7)
    axes.flat[0].legend(fontsize=7)
    figure.savefig(path, dpi=110)
