"""The figures that the paper gives, to compare with.

Dong, Loy, He, Tang: Image Super-Resolution Using Deep Convolutional Networks, TPAMI 2016,
arXiv:1501.00092; tables 2 and 3 for Set5 and Set14, the text for 91 images.
"""

_METHODS = ("bicubic", "SC", "NE+LLE", "KK", "ANR", "A+", "SRCNN 9-5-5, ImageNet")

# test set, measure, scale: a value for each method, None where the paper has none
_TABLES = {
    "Set5": {
        "psnr": {
            2: (33.66, None, 35.77, 36.20, 35.83, 36.54, 36.66),
            3: (30.39, 31.42, 31.84, 32.28, 31.92, 32.59, 32.75),
            4: (28.42, None, 29.61, 30.03, 29.69, 30.28, 30.49),
        },
        "ssim": {
            2: (0.9299, None, 0.9490, 0.9511, 0.9499, 0.9544, 0.9542),
            3: (0.8682, 0.8821, 0.8956, 0.9033, 0.8968, 0.9088, 0.9090),
            4: (0.8104, None, 0.8402, 0.8541, 0.8419, 0.8603, 0.8628),
        },
    },
    "Set14": {
        "psnr": {
            2: (30.23, None, 31.76, 32.11, 31.80, 32.28, 32.45),
            3: (27.54, 28.31, 28.60, 28.94, 28.65, 29.13, 29.30),
            4: (26.00, None, 26.81, 27.14, 26.85, 27.32, 27.50),
        },
        "ssim": {
            2: (0.8687, None, 0.8993, 0.9026, 0.9004, 0.9056, 0.9067),
            3: (0.7736, 0.7954, 0.8076, 0.8132, 0.8093, 0.8188, 0.8215),
            4: (0.7019, None, 0.7331, 0.7419, 0.7352, 0.7491, 0.7513),
        },
    },
}
SETS = tuple(_TABLES)

# PSNR in dB of 9-1-5 trained on 91 images: the conference paper's model and tables
_ON_91_IMAGES = {("Set5", 2): 36.34, ("Set5", 3): 32.39, ("Set5", 4): 30.09}
# The same for FSRCNN: Dong, Loy, Tang 2016, arXiv:1608.00367
_FSRCNN = {("Set5", 2): 36.94, ("Set5", 3): 33.06, ("Set5", 4): 30.55}
# The small one, FSRCNN-s, learnt from General-100 as well.
_FSRCNN_S = {("Set5", 2): 36.58, ("Set5", 3): 32.61, ("Set5", 4): 30.11}
# PSNR in dB on Set5 at x3 of 9-1-5, trained on ImageNet, by how many filters its layers have
BY_FILTERS = {(32, 16): 32.26, (64, 32): 32.52, (128, 64): 32.60}
# PSNR as above, by the filters' sizes
BY_SIZES = {"9-3-5": 32.66, "9-5-5": 32.75, "11-1-7": 32.57}
# Table 5: PSNR in dB on Set5 at x3 of Y, Cb, Cr and "RGB color image", after training on 91 images,
# by the channels trained on. As bicubic's suggests, the fourth PSNR is of Y, Cb and Cr together.
BY_COLOUR = {
    "bicubic": (30.39, 45.44, 45.42, 34.57),
    "luma": (32.39, 45.44, 45.42, 36.37),
    "ycbcr": (29.25, 43.30, 43.49, 33.47),
    "luma-first": (32.19, 46.49, 46.45, 36.32),
    "rgb": (32.33, 46.18, 46.20, 36.44),
}


def figures(test_set: str, scale: int) -> dict[str, dict[str, float | None]]:
    """Return the paper's figures for a test set and scale: {method: {"psnr", "ssim"}}.

    >>> figures("Set5", 3)["A+"]
    {'psnr': 32.59, 'ssim': 0.9088}
    """
    table = _TABLES[test_set]
    found = {
        method: {measure: table[measure][scale][n] for measure in ("psnr", "ssim")}
        for n, method in enumerate(_METHODS)
    }
    for method, psnrs in (
        ("SRCNN 9-1-5, 91 images", _ON_91_IMAGES),
        ("FSRCNN-s, 191 images", _FSRCNN_S),
        ("FSRCNN, 91 images", _FSRCNN),
    ):
        found[method] = {"psnr": psnrs.get((test_set, scale)), "ssim": None}
    return found
