"""What `check --hint` says where no mistake is known: how to begin, and what an error means."""

import re

# In the order in which they are to be written.
BEGINNINGS = {
    "conv_forward": (
        "Each letter of (1) is a loop. For every n, k, i, j: begin with b[k], and add one product "
        "for every c, u, v with +=. Make y with np.zeros((N, K, OH, OW))."
    ),
    "conv_db": (
        "Loop over n, k, i, j and add dy[n,k,i,j] to db[k]. Or in one line: `sum` takes a tuple of "
        "axes, those that are not in the result."
    ),
    "conv_dw": (
        "The seven loops of conv_forward. Each product of the sum is added to dw[k,c,u,v] with "
        "+=, and dw begins as zeros."
    ),
    "conv_dx": (
        "The seven loops of conv_forward. Do not look for the i and j that belong to a pixel: go "
        "through all the products, and add each to the pixel that it belongs to, "
        "dx[n, c, i+u, j+v]."
    ),
    "relu_backward": "`np.where`, or a product with x > 0. Do not look at the sign of dy.",
    "mse": "The derivative of (y - target)² by y is 2 (y - target). The factor 1/M stays.",
    "sgd_step": "Two lines. `v *= momentum` would change the array you were given.",
    "psnr": (
        "In uint8, 3 - 5 is 254: what is below 0 begins again at 255. Take a.astype(float) first. "
        "Add nothing to the mean, and round nothing; of equal pictures return np.inf."
    ),
    "bicubic_kernel": (
        "Begin with |t|. For all of an array at once there is `np.where(condition, a, b)`; or a "
        "loop, `for index, d in np.ndenumerate(t)`, in which `if` asks one number."
    ),
    "im2col": (
        "Make an array of six axes, (N, C, kh, kw, OH, OW), and reshape it at the end. For one "
        "(u, v), the pixels under all places are a rectangle of x: "
        "x[:, :, u : u + OH, v : v + OW]."
    ),
    "col2im": (
        "The loops over u and v of `im2col`, with the assignment turned around. Rectangles "
        "overlap: add with +=, to zeros."
    ),
    "conv_transpose": (
        "Make an array of zeros, (N, C, s·(H - 1) + 1, s·(W - 1) + 1), and write x to every s-th "
        "row and column, [:, :, ::s, ::s]. Give it to conv_dx, whose K is C here; and add b."
    ),
    "transpose_dw": ("Spread x in the same way. Then conv_dw with x for its dy, and dy for its x."),
    "prelu_backward": (
        "`np.where` twice. a[:, None, None] has the shape (C, 1, 1), so that each channel gets its "
        "own slope. da is a sum over the axes 0, 2 and 3."
    ),
}

# How to write without loops a function that is right with loops.
QUICKER = {
    "conv_forward": (
        "Without loops: `w.reshape(K, -1) @ cols` is a product of matrices, (K, T) by (T, P), for "
        "all pictures at once; b[:, None] is b as a column. At the end reshape P to OH, OW."
    ),
    "conv_dw": (
        "Without loops: dy as (N, K, P), times the columns transposed, (N, P, T), summed over the "
        "pictures."
    ),
    "conv_dx": "Without loops: w transposed, (T, K), times dy as (N, K, P). Then `col2im`.",
    "im2col": (
        "If it loops over places: for one (u, v), the pixels under all of them are a rectangle of "
        "x, x[:, :, u : u + OH, v : v + OW]."
    ),
    "col2im": (
        "If it loops over places: for one (u, v), all of them add to a rectangle of x, "
        "x[:, :, u : u + OH, v : v + OW]."
    ),
}

# What errors of Python and NumPy mean, by a piece of their text.
_ERRORS = {
    r"mismatch in its core dimension": (
        "In a product of matrices A @ B, A has as many columns as B has rows: what is summed over "
        "is the last axis of A and the last but one of B. `.transpose(0, 2, 1)`, or `.T` of a "
        "matrix, exchanges the two."
    ),
    r"shapes .* not aligned|shape-mismatch for sum": (
        "What is summed over must be equally long in both arrays. `np.dot` sums over the last axis "
        "of the first array and the last but one of the second."
    ),
    r"could not be broadcast together|non-broadcastable output": (
        "Two shapes are compared from their right ends: lengths must be equal, or one of them 1. "
        "b[:, None] has one axis more at the right, of length 1. A slice i : i+kh has kh elements."
    ),
    r"could not broadcast input array": (
        "What is assigned must have the shape of the place it goes to. A slice that goes over an "
        "array's end is cut off there."
    ),
    r"cannot reshape array": (
        "A reshape keeps the number of values. If it has grown or shrunk, an earlier line is wrong."
    ),
    r"out of bounds for axis": (
        "An index goes over the end of an array: an axis of length 5 has the indices 0 to 4. In a "
        "convolution i < OH, j < OW, u < kh and v < kw, so that i+u < H and j+v < W. (With 2·i, a "
        "stride of 2, it is not.)"
    ),
    r"too many indices": "The array has fewer axes than there are indices.",
    r"not enough values to unpack|too many values to unpack": (
        "A shape has as many lengths as the array has axes: there must be as many names."
    ),
    r"axes don't match|axis \d+ is out of bounds": (
        "A transpose names every axis once, and axes are counted from 0."
    ),
    r"truth value of an array": (
        "`if` asks one number, and an array is many. `np.where(condition, a, b)` asks each."
    ),
    r"only (size-1|length-1|0-dimensional) arrays|setting an array element with a sequence": (
        "One number is needed where there is an array. `math` knows numbers only, NumPy's "
        "functions take arrays; one element of an array holds one number."
    ),
    r"'(tuple|numpy.ndarray|int)' object is not callable": (
        "Round brackets call a function, square ones take an element: x.shape[2], x[n, c]."
    ),
    r"Cannot interpret '.*' as a data type|(zeros|empty|ones)\(\) takes|'list' object cannot be": (
        "Several lengths, or axes, are one tuple: np.zeros((2, 3)), dy.sum(axis=(0, 1))."
    ),
    r"bitwise_xor|operand type\(s\) for \^": "A power is x ** 2: in Python ^ means something else.",
    r"not have enough dimensions": (
        "`@` multiplies matrices. Numbers, and arrays value by value, are multiplied by *."
    ),
    r"either both or neither": (
        "`np.where` takes a condition, what is right where it holds, and what where it does not."
    ),
    r"Dispatcher|_?function'|'type'": (
        "A function stands where a number or an array is needed: call it with round brackets."
    ),
    r"is not defined|referenced before|not associated with a value": (
        "A name has a value only after a line that gives it one; arguments have theirs from the "
        "start."
    ),
    r"NoneType": ("Something is None: a function without `return` gives None."),
    r"not subscriptable|does not support item assignment": (
        "Square brackets are for arrays, lists and tuples; one number has no elements."
    ),
    r"object cannot be interpreted as an integer|slice indices must be integers|only integers": (
        "Lengths and indices are whole numbers: // gives a whole number, / does not."
    ),
    r"Cannot cast ufunc .* to dtype\('u?int": (
        "An array of whole numbers cannot take others: begin with np.zeros, without a dtype."
    ),
    r"math domain error|division by zero|float division": (
        "Nothing can be divided by 0. 0 has no logarithm, and a number below 0 has no root. Where "
        "such a number can come, return at once what is right there."
    ),
}


def meaning(error: BaseException) -> str | None:
    """Say what an error means and how it is mended, if it is one that students meet."""
    text = str(error)
    return next((words for part, words in _ERRORS.items() if re.search(part, text)), None)
