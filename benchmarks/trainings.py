"""The trainings that `benchmarks.recipes` compares, and those whose curves its figures draw."""

from dataclasses import replace
from typing import NamedTuple

from srcnn_np import RECIPES, Recipe, paper

SCALE = 3
SHORT, LONG = 200_000, 400_000  # sub-images
MINUTES = 1.5  # for each number of filters


class Training(NamedTuple):
    """One training at x3 on T91.

    Attributes
    ----------
    recipe : Recipe
    sub_images : int or None
        How many it sees; with None, as many as `MINUTES` allow.
    structure, filters
        As for `srcnn_np.SRCNN`.
    seed : int
    colour : "luma", "ycbcr" or "rgb"
        What goes in and comes out.
    begins_with : str
        The training of luma, if any, with whose weights this training of Y, Cb and Cr begins.
    """

    recipe: Recipe
    sub_images: int | None = SHORT
    structure: str = "9-1-5"
    filters: tuple[int, ...] = (64, 32)
    seed: int = 0
    colour: str = "luma"
    begins_with: str = ""


_PAPER, _FAST, _SGD = (RECIPES[name] for name in ("paper", "fast", "sgd"))
# The paper's rate, for the mean over 21 x 21 values. Without clipping the loss is soon NaN.
_HE = replace(_PAPER, init="he", mean_over="values", rate=441e-4, clip_norm=0.05)
_HIGH = replace(_HE, rate=1.0)
_FALLING = replace(_HIGH, schedule="cosine", nesterov=True)
_CONSTANT = replace(_FAST, schedule="constant")

_ORTHOGONAL = replace(_SGD, optimiser="muon", rate=0.005, clip_norm=None)
# The same as "fast" except for the optimiser and its own numbers.
_FAST_SGD = replace(_FAST, optimiser="sgd", rate=1.0, nesterov=True, clip_norm=0.05)
_FAST_ADAM = replace(_FAST, optimiser="adam", rate=1e-3)

# Sizes of batches of many processes, and rates for each size.
LARGE = {256: (0.005, 0.01), 1024: (0.005, 0.01, 0.02), 4096: (0.01, 0.02, 0.04)}

RECIPES_TRIED: dict[str, Training] = {
    "paper": Training(_PAPER),
    "paper-he": Training(_HE),
    "paper-he-rate": Training(_HIGH),
    "paper-he-rate-falling": Training(_FALLING),
    "sgd": Training(_SGD),
    "sgd-orthogonal": Training(_ORTHOGONAL),
    "fast": Training(_FAST),
    "fast-seed-1": Training(_FAST, seed=1),
    "fast-seed-2": Training(_FAST, seed=2),
    "fast-but-sgd": Training(_FAST_SGD, LONG),
    "fast-but-sgd-rate-0.25": Training(replace(_FAST_SGD, rate=0.25), LONG),
    "fast-but-sgd-rate-4": Training(replace(_FAST_SGD, rate=4.0), LONG),
    "fast-but-adam": Training(_FAST_ADAM, LONG),
    "fast-but-adam-rate-0.00025": Training(replace(_FAST_ADAM, rate=0.00025), LONG),
    "fast-but-adam-rate-0.004": Training(replace(_FAST_ADAM, rate=0.004), LONG),
    "fast-but-adam-rate-0.016": Training(replace(_FAST_ADAM, rate=0.016), LONG),
    "fast-long": Training(_FAST, LONG),
    "fast-he": Training(replace(_FAST, init="he")),
    "fast-gaussian": Training(replace(_FAST, init="gaussian")),
    "fast-rate-0.00125": Training(replace(_FAST, rate=0.00125)),
    "fast-rate-0.02": Training(replace(_FAST, rate=0.02)),
    "fast-last-1": Training(replace(_FAST, last_layer=1.0)),
    "fast-last-0.03": Training(replace(_FAST, last_layer=0.03)),
    "fast-averaged": Training(replace(_FAST, average=0.99)),
    "fast-constant": Training(_CONSTANT),
    "fast-constant-averaged": Training(replace(_CONSTANT, average=0.99)),
    "fast-batch-16": Training(replace(_FAST, batch=16)),
    "fast-batch-256": Training(replace(_FAST, batch=256)),
    **{
        f"large-{batch}-rate-{rate}": Training(replace(_FAST, batch=batch, rate=rate), LONG)
        for batch, rates in LARGE.items()
        for rate in rates
    },
    "fast-momentum-0": Training(replace(_FAST, momentum=0.0)),
    "fast-momentum-0.95": Training(replace(_FAST, momentum=0.95)),
    "fast-no-turns": Training(replace(_FAST, turns=False)),
}

# What the paper's section 4 tries. Each deeper structure is followed by the numbers of its layers'
# filters.
_SIZES = ("9-3-5", "9-5-5", "11-1-7")
_DEEPER = {
    "9-1-1-5": (64, 32, 16),
    "9-1-1-1-5": (64, 32, 32, 16),
    "9-3-5": (64, 32),
    "9-3-1-5": (64, 32, 16),
    "9-3-3-5": (64, 32, 16),
    "9-5-5": (64, 32),
    "9-5-1-5": (64, 32, 16),
}
_BY = {"fast": _FAST, "sgd": _SGD}
STUDIED: dict[str, Training] = {
    **{f"filters-{n}-{m}": Training(_FAST, None, filters=(n, m)) for n, m in paper.BY_FILTERS},
    **{f"sizes-{structure}": Training(_FAST, LONG, structure) for structure in _SIZES},
    **{
        f"depth-{structure}-{how}": Training(recipe, SHORT, structure, filters)
        for how, recipe in _BY.items()
        for structure, filters in _DEEPER.items()
    },
    "colour-luma": Training(_FAST),
    "colour-ycbcr": Training(_FAST, colour="ycbcr"),
    "colour-luma-first": Training(
        replace(_FAST, init=None), colour="ycbcr", begins_with="colour-luma"
    ),
    "colour-rgb": Training(_FAST, colour="rgb"),
    "colour-ycbcr-sgd": Training(_SGD, colour="ycbcr"),
    "colour-rgb-sgd": Training(_SGD, colour="rgb"),
}
TRAININGS = RECIPES_TRIED | STUDIED

# Logged on a busy machine, so that their seconds say nothing.
BUSY = {
    name
    for name in TRAININGS
    if name.startswith(("large-", "sizes-", "depth-", "colour-"))
    or "-seed-" in name
    or ("-but-" in name and "-rate-" in name)
}

# Panels of recipes.png, by title. Each holds the trainings of its curves, by label.
PANELS: dict[str, dict[str, str]] = {
    "From the paper's recipe to this one": {
        "the paper's": "paper",
        "+ He initialisation, clipping": "paper-he",
        "+ rate x 23": "paper-he-rate",
        "+ falling rate, Nesterov": "paper-he-rate-falling",
        "+ batches of 32, turns (sgd)": "sgd",
        "+ orthogonal steps, no clipping": "sgd-orthogonal",
        "+ contrast, batches of 64, last layer 0.3 (fast)": "fast",
    },
    "The optimiser, at several rates": {
        "SGD, 0.25": "fast-but-sgd-rate-0.25",
        "SGD, 1": "fast-but-sgd",
        "SGD, 4": "fast-but-sgd-rate-4",
        "Adam, 0.00025": "fast-but-adam-rate-0.00025",
        "Adam, 0.001": "fast-but-adam",
        "Adam, 0.004": "fast-but-adam-rate-0.004",
        "Adam, 0.016": "fast-but-adam-rate-0.016",
        "SGD, orthogonal steps, 0.005 (fast)": "fast-long",
    },
    "Initialisation; three seeds": {
        "contrast (fast)": "fast",
        "contrast, another seed": "fast-seed-1",
        "contrast, a third": "fast-seed-2",
        "He": "fast-he",
        "N(0, 0.001²)": "fast-gaussian",
    },
    "Rate": {
        "0.00125": "fast-rate-0.00125",
        "0.005 (fast)": "fast",
        "0.02": "fast-rate-0.02",
    },
    "Rate of the last layer, to the others'": {
        "0.03": "fast-last-0.03",
        "0.3 (fast)": "fast",
        "1": "fast-last-1",
    },
    "Schedule, averaging of weights": {
        "falling (fast)": "fast",
        "falling, averaged": "fast-averaged",
        "constant": "fast-constant",
        "constant, averaged": "fast-constant-averaged",
    },
    "Sub-images in a batch": {
        "16": "fast-batch-16",
        "64 (fast)": "fast",
        "256": "fast-batch-256",
    },
    "Large batches, 400,000 sub-images": {
        "64, 0.005 (fast)": "fast-long",
        **{
            f"{batch}, {rate}": f"large-{batch}-rate-{rate}"
            for batch, rates in LARGE.items()
            for rate in rates
        },
    },
    "Momentum": {
        "none": "fast-momentum-0",
        "0.9 (fast)": "fast",
        "0.95": "fast-momentum-0.95",
    },
    "Flips and rotations": {"at random (fast)": "fast", "none": "fast-no-turns"},
}

# Panels of studies.png.
STUDIES: dict[str, dict[str, str]] = {
    "How large the filters are": {
        "9-1-5": "fast-long",
        **{structure: f"sizes-{structure}" for structure in _SIZES},
    },
    "Which channels go in and come out": {
        "Y": "colour-luma",
        "Y, Cb, Cr": "colour-ycbcr",
        "Y, Cb, Cr, begun as Y": "colour-luma-first",
        "R, G, B": "colour-rgb",
        "Y, SGD": "sgd",
        "Y, Cb, Cr, SGD": "colour-ycbcr-sgd",
        "R, G, B, SGD": "colour-rgb-sgd",
    },
    **{
        f"How many layers, {words}": {
            "9-1-5": how,
            **{structure: f"depth-{structure}-{how}" for structure in _DEEPER},
        }
        for how, words in {"fast": "orthogonal steps (fast)", "sgd": "SGD"}.items()
    },
}
