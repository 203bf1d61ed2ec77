"""The mistakes that are known: what is computed instead, and what there is to say of it.

`mistakes` evaluates these formulas. A new one is a line here.
"""

# fmt: off

# What a result is, and a remark. Both are shown.
FORMULAS = {
    "conv_db db": {
        "dy.sum()": "each filter has its own bias, so that axis 1 stays.",
        "dy.sum(axis=(1, 2, 3))": "that is one number for each picture. Filters are axis 1.",
        "dy.sum(axis=(2, 3))": "it is not yet summed over the pictures, axis 0.",
        "dy.sum(axis=0)": "it is not yet summed over the places, axes 2 and 3.",
        "dy.sum(axis=1)": "the filters, axis 1, stay; all else is summed.",
        "dy.sum(axis=(0, 1))": "the filters, axis 1, stay; the places do not.",
        "dy.sum(axis=(0, 2))": "it is not yet summed over the columns of places, axis 3.",
        "dy.sum(axis=(0, 3))": "it is not yet summed over the rows of places, axis 2.",
    },
    "relu_backward dx": {
        "maximum(x, 0)": "that is the ReLU itself, forward. Its gradient is dy where x > 0.",
        "maximum(dy, 0)": "the sign of x decides what passes, not that of dy.",
        "where(dy > 0, x, 0)": "dy and x are in each other's place. The arguments are (dy, x).",
        "x > 0": "that is ∂y/∂x alone, 1 or 0. Multiply it by dy.",
        "where(x >= 0, dy, 0)": "at x = 0 the gradient is 0: x > 0, not x >= 0.",
        "where(x <= 0, dy, 0)": "the wrong half passes. dy passes where x > 0.",
        "where(x < 0, dy, 0)": "the wrong half passes. dy passes where x > 0.",
        "dy * maximum(x, 0)": "dy is multiplied by ∂y/∂x, which is 1 or 0, not by y.",
        "dy * x": "dy is multiplied by ∂y/∂x, which is 1 or 0, not by x.",
        "dy + maximum(x, 0)": "dy is multiplied by ∂y/∂x, which is 1 or 0; nothing is added.",
        "dy * sign(x)": "where x < 0 the gradient is 0, not -dy.",
        "dy": "it becomes 0 where x <= 0.",
        "dy * (dy > 0) * (x > 0)": "the sign of dy does not matter.",
        "where(x > 0, dy, x)": "where x <= 0 the gradient is 0, not x.",
        "where(x > 0, x, dy)": "where x > 0 the gradient is dy, elsewhere 0.",
        "dy[x > 0]": "dx has the shape of x: put 0 where x <= 0, and leave nothing out.",
        "where(abs(x) > 0, dy, 0)": "where x < 0 the gradient is 0 as well.",
        "where(x > 0, dy, -dy)": "where x <= 0 the gradient is 0, not -dy.",
        "where(x > 0, dy, 0.1 * dy)": "that is a leaky ReLU's. Here it is 0 where x <= 0.",
        "where(x > 0, dy, 0.01 * dy)": "that is a leaky ReLU's. Here it is 0 where x <= 0.",
        "where(x > 1, dy, 0)": "the ReLU bends at 0, not at 1.",
    },
    "mse L": {
        "(y - target)**2": "L is one number, the mean of these.",
        "mean((y - target)**2, axis=(1, 2, 3))": "L is one number, the mean over all pictures.",
        "mean((y - target)**2, axis=(0, 2, 3))": "L is one number, the mean over all channels.",
        "mean((y - target)**2, axis=0)": "L is one number, the mean over all axes.",
        "mean((y - target)**2, axis=-1)": "L is one number, the mean over all axes.",
        "mean((y[0] - target[0])**2)": "that is the first picture alone. The mean is over all.",
        "sqrt(mean((y - target)**2))": "take no root.",
        "sqrt(sum((y - target)**2))": "take no root, and a mean in place of the sum.",
        "mean(abs(y - target))": "square the differences.",
        "mean(y - target)": "square the differences first.",
        "mean(y - target)**2": "take the mean of the squares, not the square of the mean.",
        "mean(y**2 - target**2)": "take the square of the difference.",
        "mean((y - target) * 2)": "a square is ** 2, not * 2.",
        "mean((y - target)**2) - mean(y - target)**2": "nothing is subtracted, as np.var does.",
        "max((y - target)**2)": "take the mean.",
    },
    "mse dy": {
        "2 * (target - y) / M": "that is the gradient with respect to target. y comes first.",
        "(y - target)**2": "that is the squared error, not its derivative.",
        "(y - target)**2 / M": "that is the squared error, not its derivative.",
        "2 * abs(y - target) / M": "the sign is lost.",
        "sign(y - target) / M": "that is the derivative of |y - target|, not of its square.",
        "2 * sign(y - target) / M": "that is the derivative of |y - target|, not of its square.",
        "2 * mean((y - target)**2)": "each value of y has its own derivative.",
        "2 * y / M": "the derivative of (y - target)² has the target in it.",
        "mean(2 * (y - target))": "each value of y has its own derivative.",
        "sum(2 * (y - target))": "each value of y has its own derivative.",
        "2 * (y - target) * mean((y - target)**2)": "the factor is 2/M, not L.",
        "(y - target) / sqrt(M * sum((y - target)**2))": "that is the gradient of L's root.",
        "2 * (y - target) / sqrt(M)": "the factor is 2/M.",
    },
    "sgd_step v_new": {
        "momentum * v + rate * g": "that step goes up the slope. Subtract rate * g.",
        "-momentum * v + rate * g": "all of it has the wrong sign.",
        "-momentum * v - rate * g": "the old velocity is added, not subtracted.",
        "momentum * v + g": "the rate is missing, and the sign. (Some say p - rate * v_new then.)",
        "momentum * v - g": "the rate is missing.",
        "momentum * v + (1 - momentum) * g": "that is a mean of gradients, and no step yet.",
        "momentum * v - (1 - momentum) * g": "the gradient's factor is the rate.",
        "momentum * v - (1 - momentum) * rate * g": "the gradient's factor is the rate alone.",
        "momentum * v + (1 - momentum) * rate * g": "the gradient's factor is -rate.",
        "(1 - momentum) * v - rate * g": "the old velocity's factor is momentum.",
        "v - rate * g": "the momentum is missing.",
        "v + rate * g": "the momentum is missing, and the step goes up the slope.",
        "-rate * g": "the old velocity is missing.",
        "rate * g": "the old velocity is missing, and the sign.",
        "momentum * v": "the gradient is missing.",
        "v": "it has not changed.",
        "momentum * v - g / rate": "the gradient is multiplied by the rate.",
        "momentum * (v + rate * g)": "the momentum is the old velocity's factor alone.",
        "momentum * (v - rate * g)": "the momentum is the old velocity's factor alone.",
        "v - momentum * rate * g": "the momentum is the old velocity's factor.",
        "rate * v - momentum * g": "rate and momentum are in each other's place.",
        "rate * (momentum * v - g)": "the rate is the gradient's factor alone.",
        "momentum * v - rate * p": "the gradient is g.",
        "momentum * p - rate * g": "the velocity is v.",
        "momentum * g - rate * v": "v and g are in each other's place.",
        "p + momentum * v - rate * g": "that is p_new. Without p it is the velocity.",
    },
    "sgd_step p_new": {
        "p + v": "add the new velocity, not the old one.",
        "p - v": "add the new velocity, do not subtract the old one.",
        "p - (momentum * v - rate * g)": "the velocity goes down the slope already: add it.",
        "p - rate * g": "add the new velocity, in which the momentum is.",
        "p + rate * g": "add the new velocity.",
        "p + momentum * v - 2 * rate * g": "the gradient is in the new velocity already.",
        "p + v + momentum * v - rate * g": "the old velocity is in the new one already.",
        "p + momentum * (momentum * v - rate * g) - rate * g": "that is Nesterov's way, which "
        "takes the next step's momentum beforehand. The plain one is p + v_new.",
        "momentum * v - rate * g": "that is the step alone. Add it to p.",
        "p + rate * (momentum * v - rate * g)": "the rate is in the new velocity already.",
        "p - rate * (momentum * v - rate * g)": "the rate and the sign are in it already.",
        "p + momentum * (momentum * v - rate * g)": "the momentum is in it already.",
        "p": "the parameters have not moved.",
        "v + g": "the parameters are p.",
    },
    "psnr psnr": {
        "10 * log10(peak**2 / mean((a - b)**2))": "in uint8 3 - 5 is 254, and 16 * 16 is 0. "
        "Convert the pictures first: a.astype(float).",
        "10 * log10(peak**2 / mean((a - b).astype(float)**2))": "in uint8 3 - 5 is 254 already. "
        "Convert the pictures before: a.astype(float).",
        "10 * log(peak**2 / mse)": "decibels take log10, the logarithm to the base of 10.",
        "10 * log2(peak**2 / mse)": "decibels take log10, the logarithm to the base of 10.",
        "20 * log10(peak**2 / mse)": "20 goes with peak / sqrt(mse), 10 with their squares.",
        "10 * log10(peak / sqrt(mse))": "20 goes with peak / sqrt(mse), 10 with their squares.",
        "log10(peak**2 / mse)": "that is in bel, of which a decibel is a tenth: 10 * log10.",
        "10 * log10(peak / mse)": "the peak is not squared.",
        "20 * log10(peak / mse)": "the root is missing: 20 * log10(peak / sqrt(mse)).",
        "20 * log10(peak) - log10(mse)": "10 is missing before the second logarithm.",
        "10 * log10(1 / mse)": "the peak is missing, or always taken to be 1.",
        "10 * log10(255**2 / mse)": "the peak is always taken to be 255.",
        "10 * log10(a.max() ** 2.0 / mse)": "the peak is not the largest value: it is given.",
        "10 * log10(mse / peak**2)": "the error goes below the line.",
        "10 * log10(peak**2 / sum((float_a - float_b)**2))": "take the mean of the squares.",
        "10 * log10(peak**2 / mean(abs(float_a - float_b)))": "square the differences.",
        "10 * log10(peak**2 / sqrt(mse))": "the root of mse is taken, but the peak is squared.",
        "10 * log10(peak**2 / mean((float_a - float_b)**2, axis=-1))": "take the mean of all.",
        "10 * log10(peak**2 / mean((float_a - float_b)**2, axis=0))": "take the mean of all.",
        "10 * log10(peak**2 / (float_a - float_b)**2)": "the mean is missing.",
        "10 * log10(peak**2 / mean(float_a - float_b)**2)": "square first, then take the mean.",
        "10 * log10(peak**2 / mean((float_a / peak - float_b / peak)**2))": "what is divided by "
        "the peak has a peak of 1.",
        "10 * log10(peak**2 / mean((a.astype(int) - b.astype(int))**2.0))": "whole numbers lose "
        "what is behind the point: astype(float).",
        "10 * log10(peak**2 / (mse + 1e-8))": "nothing is added to mse.",
        "10 * log10(peak**2 / (mse + 1e-10))": "nothing is added to mse.",
        "10 * log10(peak**2 / (mse + 1e-12))": "nothing is added to mse.",
        "10 * log10(peak * 2 / mse)": "a square is ** 2, not * 2.",
        "10 * log10(mse)": "the peak is missing, and the error goes below the line.",
        "10 * log10(peak**2 - mse)": "divide by mse.",
        "10 * log10(peak**2) / log10(mse)": "the logarithm of a quotient is a difference.",
        "mse": "the logarithm of peak² / mse is still to come.",
        "sqrt(mse)": "the logarithm of peak² / mse is still to come.",
        "peak**2 / mse": "the logarithm is still to come.",
    },
}

FORMULAS |= {
    "prelu_backward dx": {
        "where(x > 0, dy, 0)": "that is a ReLU's. Here a[c] · dy goes back where x <= 0.",
        "where(x > 0, dy, a[:, None, None] * x)": "the slope multiplies dy, not x.",
        "where(x > 0, a[:, None, None] * dy, dy)": "the two halves are exchanged.",
        "where(dy > 0, dy, a[:, None, None] * dy)": "the sign of x decides, not that of dy.",
        "where(x > 0, dy, a[:, None, None])": "the slope is multiplied by dy.",
        "where(x >= 0, dy, a[:, None, None] * dy)": "at x = 0 the slope counts: x > 0, not x >= 0.",
        "where(x > 0, x, a[:, None, None] * x)": "that is the PReLU itself, forward.",
        "where(x > 0, dy, -dy)": "where x <= 0 it is a[c] · dy, not -dy.",
        "dy * a[:, None, None]": "where x > 0 it is dy alone.",
        "dy": "where x <= 0 it is multiplied by a[c].",
    },
    "prelu_backward da": {
        "(dy * x).sum((0, 2, 3))": "only the x that are not above 0 count.",
        "where(x > 0, dy * x, 0).sum((0, 2, 3))": "the wrong half counts: it is x <= 0.",
        "where(x > 0, 0, x).sum((0, 2, 3))": "dy is missing. The chain rule multiplies by it.",
        "where(x > 0, 0, dy).sum((0, 2, 3))": "the factor of dy is x, as y is a[c] · x there.",
        "where(x > 0, 0, dy * x * a[:, None, None]).sum((0, 2, 3))":
            "the derivative of a[c] · x by a[c] is x, without a[c].",
        "where(x > 0, 0, dy * x).sum()": "each channel has its own slope: axis 1 stays.",
        "where(x > 0, 0, dy * x).sum((2, 3))": "it is not yet summed over the pictures, axis 0.",
        "where(x > 0, 0, dy * x).sum(0)": "it is not yet summed over the places, axes 2 and 3.",
        "where(x > 0, 0, dy * x).mean((0, 2, 3))": "it is a sum, not a mean.",
        "where(dy > 0, 0, dy * x).sum((0, 2, 3))": "the sign of x decides, not that of dy.",
        "-where(x > 0, 0, dy * x).sum((0, 2, 3))": "its sign is the other one.",
    },
}

# Here only the remark is shown. forward, db, dw, dx, im2col and col2im are the right functions.
# pixels makes cols with six axes, (N, C, kh, kw, OH, OW), instead of three. put adds such cols to a
# picture, and apart makes them from cols with three axes.
_WINS = "Where several terms meet in a pixel, the last one wins: write += where you have =."
_COLUMNS = "`col2im` is given columns (N, C·kh·kw, OH·OW) that are "
_PLACES_FIRST = "Places are read before taps. Reshape cols to (N, C, kh, kw, OH, OW)."
_TAPS = " The taps are numbered (c, u, v)."

_TURNED = "The filter is turned by 180 degrees. Here it is not."
OTHERS = {
    "conv_transpose": {
        "transposed(x, w, 0 * b, s)": "The bias is missing.",
        "transposed(x, w, -b, s)": "The bias is subtracted. Add it.",
        "transposed(x, w[:, :, ::-1, ::-1], b, s)": _TURNED,
        "transposed(x, w, b, 1)": "The stride is not there: s·i+u is a row of y, not i+u.",
        "transposed(x, w / w[0].size, b, s)": "It is a mean. Take the sum.",
        "spread_overwritten(x, w, b, s)": _WINS,
        "spread_overwritten(x[:, -1:], w[-1:], b, s)": _WINS,
    },
    "transpose_dw": {
        "transposed_dw(dy, x, kh, kw, s)[:, :, ::-1, ::-1]": _TURNED,
        "transposed_dw(dy, x, kh, kw, s).transpose(1, 0, 2, 3)":
            "The channels of x and y are exchanged: dw is (C, K, kh, kw).",
        "transposed_dw(dy, x, kh, kw, s) / len(x)": "It is a mean over the pictures. Take the sum.",
        "transposed_dw(abs(dy), x, kh, kw, s)": "The sign of dy is lost.",
    },
    "conv_forward": {
        "forward(x, w, 0 * b)": "The bias is missing.",
        "forward(x, w, -b)": "The bias is subtracted. Add it.",
        "maximum(forward(x, w, b), 0)": "A ReLU is applied to it, which is no part of it.",
        "forward(x, w / w[0].size, b)": "It is a mean over the taps. Take the sum.",
        "forward(x, 0 * w + 1, b + w.sum((1, 2, 3)))": "w and x are added, not multiplied.",
        "einsum('kcuv,ncuvij->nkcij', w, pixels(x, *w.shape[2:])) + b[:, None, None, None]":
            "The channels are not yet summed, and the bias is in each.",
    },
    "conv_dw": {
        "dw(0 * dy + 1, x, kh, kw) + db(dy)[:, None, None, None]":
            "dy and x are added, not multiplied.",
    },
    "conv_dx": {
        "dx(dy, 0 * w + 1, x_shape) + dx(0 * dy + 1, w, x_shape)":
            "dy and w are added, not multiplied.",
        "overwritten(dcols(dy, w), x_shape, 'taps')": _WINS,
        "overwritten(dcols(dy, w), x_shape, 'places')": _WINS,
        "overwritten(dcols(dy[:, -1:], w[-1:]), x_shape, 'taps')": _WINS,
        "overwritten(dcols(dy[:, -1:], w[-1:]), x_shape, 'places')": _WINS,
        "dcols(dy, w).reshape(len(dy), w[0].size, -1)":
            "This is the gradient with respect to the columns. `col2im` is still to come.",
        "put(mixed(dcols(dy, w), (0, 4, 5, 1, 2, 3)), x_shape)":
            _COLUMNS + "(N, OH·OW, C·kh·kw), reshaped.",
        "put(mixed(dcols(dy, w), (1, 2, 3, 0, 4, 5)), x_shape)":
            _COLUMNS + "(C·kh·kw, N, OH·OW), as `np.dot` makes them, reshaped.",
        "forward(dy, w.transpose(1, 0, 2, 3), zeros(w.shape[1]))":
            "dy is correlated with w, and shrinks once more. Going back, the picture grows again, "
            "from OH x OW to H x W.",
        "forward(dy, w.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1], zeros(w.shape[1]))":
            "dy is correlated with the turned w, and shrinks once more. Going back, the picture "
            "grows again, from OH x OW to H x W: pad dy by kh-1 and kw-1.",
    },
    "im2col": {
        "im2col(x[:, :1], kh, kw)": "Only channel 0 is taken. Take all C.",
        "im2col(x * (arange(x.shape[1]) == 0)[:, None, None], kh, kw)":
            "Only channel 0 is taken. Take all C.",
        "im2col(x, kh, kw)[0]": "Only picture 0 is there.",
        "0 * im2col(x, kh, kw) + im2col(x, kh, kw)[:, :, -1:]":
            "The last place stands for all. Is an index missing, as in cols[n, t] = ...?",
        "concatenate(list(im2col(x, kh, kw)), axis=1)":
            "The pictures' columns are side by side in one matrix. Keep pictures apart: "
            "(N, C·kh·kw, OH·OW).",
    },
    "col2im": {
        "overwritten(apart(cols, x_shape, kh, kw), x_shape, 'taps')": _WINS,
        "overwritten(apart(cols, x_shape, kh, kw), x_shape, 'places')": _WINS,
        "col2im(cols, x_shape, kh, kw) / col2im(0 * cols + 1, x_shape, kh, kw)":
            "It is the mean of the copies. Take their sum.",
        "put(misread(apart(cols, x_shape, kh, kw), (0, 2, 3, 1, 4, 5)), x_shape)":
            "The taps are read in the order (u, v, c)." + _TAPS,
        "put(misread(apart(cols, x_shape, kh, kw), (0, 1, 3, 2, 4, 5)), x_shape)":
            "The taps are read in the order (c, v, u)." + _TAPS,
        "put(misread(apart(cols, x_shape, kh, kw), (0, 3, 2, 1, 4, 5)), x_shape)":
            "The taps are read in the order (v, u, c)." + _TAPS,
        "put(misread(apart(cols, x_shape, kh, kw), (0, 1, 2, 3, 5, 4)), x_shape)":
            "The places are read down the columns. They are numbered along the rows: p = i*OW + j.",
        "put(misread(apart(cols, x_shape, kh, kw), (0, 1, 4, 5, 2, 3)), x_shape)": _PLACES_FIRST,
        "put(misread(apart(cols, x_shape, kh, kw), (0, 4, 5, 1, 2, 3)), x_shape)": _PLACES_FIRST,
    },
    "bicubic_kernel": {
        "kernel(t, distance=t)": "Distances below 0 count by their size: begin with |t|.",
        "where(abs(t) <= 1, polyval(NEAR, t), where(abs(t) <= 2, polyval(FAR, t), 0))":
            "Distances below 0 count by their size: both pieces take |t|.",
        "kernel(t, near=keys(-0.75)[0], far=keys(-0.75)[1])":
            "This is bicubic interpolation with a = -0.75, as some libraries have it. The factors "
            "here are those of a = -0.5.",
        "kernel(t, near=keys(-1)[0], far=keys(-1)[1])":
            "This is bicubic interpolation with a = -1, as some libraries have it. The factors "
            "here are those of a = -0.5.",
        "kernel(t, end=inf)": "Beyond a distance of 2 it must be 0.",
        "kernel(t, end=1)":
            "Beyond a distance of 1 it is 0 here, but there is another piece, from 1 to 2.",
        "kernel(t, far=NEAR)": "The first piece stands for the second too.",
        "kernel(t, far=NEAR, end=inf)": "The first piece goes on beyond a distance of 1.",
        "kernel(t, near=FAR)": "The second piece stands for the first too.",
        "kernel(t, near=FAR, far=NEAR)": "The two pieces are in each other's place.",
        "kernel(t, near=NEAR + FAR)":
            "Both pieces are added up to a distance of 1: the second is for 1 < |t| alone.",
        "kernel(t, far=-FAR)": "For 1 < |t| <= 2 all has the wrong sign.",
        "kernel(t, near=array([1, -2, 0, 1]), far=array([-1, 2, -4, 2]))":
            "3 // 2 is 1, 5 // 2 is 2, and -1 // 2 is -1: / divides without rounding.",
        "maximum(0, 1 - abs(t))": "This is linear interpolation, 1 - |t|.",
    },
}

# What the right function gets in place of an argument, and a remark.
_MIXED = "The filters are reshaped to (T, K), which mixes them: reshape to (K, T), then transpose."

ARGUMENTS = {
    "x": {
        "0 * x + 1": "It does not depend on x: it is the answer for x = 1 everywhere.",
        "x[:, :1].repeat(x.shape[1], 1)": "Channel 0 of x stands for all channels.",
        "x[:1].repeat(len(x), 0)": "Picture 0 stands for all pictures.",
    },
    "w": {
        "0 * w + 1": "It does not depend on w: it is the answer for w = 1 everywhere.",
        "w[:1].repeat(len(w), 0)": "Filter 0 stands for all filters.",
        "w[:, :1].repeat(w.shape[1], 1)": "Channel 0 of w stands for all channels.",
        "0 * w + w.sum(axis=0)": "It takes all filters together, for each k.",
        "roll(w[:, :, ::-1, ::-1], 1, (2, 3))":
            "It is what w[k, c, -u, -v] gives, where w[k, c, u, v] is due.",
        "w.transpose(0, 1, 3, 2).reshape(w.shape)":
            "The filters are transposed, and reshaped so: w[k, c, u, v] has u before v.",
        "w.transpose(0, 2, 3, 1).reshape(w.shape)":
            "The taps of w are in the order (u, v, c), where (c, u, v) is due.",
        "w.reshape(-1, len(w)).T.reshape(w.shape)": _MIXED,
        "w.swapaxes(0, 1).reshape(-1, len(w)).T.reshape(w.shape)": _MIXED,
    },
    "dy": {
        "0 * dy + 1": "It does not depend on dy: it is the answer for dy = 1 everywhere.",
        "dy[:1].repeat(len(dy), 0)": "Picture 0 of dy stands for all.",
        "dy[:, :1].repeat(dy.shape[1], 1)": "Channel 0 of dy stands for all.",
        "dy[:, :, ::-1, ::-1]": "dy is turned by 180 degrees.",
        "dy * (arange(dy[0, 0].size).reshape(dy[0, 0].shape) < dy[0, 0].size - 1)":
            "The last place alone is missing, i = OH-1 and j = OW-1.",
        "dy.reshape(dy.shape[1], len(dy), *dy.shape[2:]).swapaxes(0, 1)":
            "A reshape of dy mixes pictures and filters: it does not exchange axes, .transpose "
            "does.",
    },
}

# The row of the pixel under a tap (u, v) at a place (i, j); columns are alike. The first formula is
# right. `mistakes` tries each formula for rows and columns, each for one of them while the other is
# right, and the pairs in EXCHANGED.
ROWS = ["i+u", "i-u", "i+kh-1-u", "i", "u", "i+u-1", "i+u-kh//2", "u-i"]
EXCHANGED = [("i+v", "j+u"), ("j+v", "i+u"), ("j+u", "i+v")]
PIXELS = {
    ("i+kh-1-u", "j+kw-1-v"): "the filter is flipped, turned by 180 degrees.",
    ("i+u", "j+kw-1-v"): "the filter is mirrored, left to right.",
    ("i+kh-1-u", "j+v"): "the filter is mirrored, top to bottom.",
    ("i", "j"): "every tap has the same pixels.",
    ("u", "v"): "every place has the same pixels.",
    ("i+v", "j+u"): "rows and columns of the filter are in each other's place.",
    ("j+v", "i+u"): "rows and columns of the picture are in each other's place.",
}

# T and P are formulas for the number of a tap and of a place in cols. NUMBERS has wrong pairs.
T, P = "(c*kh + u)*kw + v", "i*OW + j"
NUMBERS = [
    (T, "i*OH + j"),
    *((t, P) for t in (
        "(c*kh + u)*kh + v", "(c*kw + u)*kw + v", "(c*kw + u)*kh + v", "c*kh + u*kw + v",
        "u*kw + v",
    )),
]
