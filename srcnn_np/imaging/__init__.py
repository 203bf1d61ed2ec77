"""Pictures: resizing, colour, quality measures, reading and writing."""

from .colour import rgb_to_luma, rgb_to_ycbcr, ycbcr_to_rgb
from .files import Picture, list_pictures, read_picture, write_picture
from .metrics import psnr, ssim
from .resize import enlarge, imresize

__all__ = [
    "Picture",
    "enlarge",
    "imresize",
    "list_pictures",
    "psnr",
    "read_picture",
    "rgb_to_luma",
    "rgb_to_ycbcr",
    "ssim",
    "write_picture",
    "ycbcr_to_rgb",
]
