"""Fourteen pieces of convolutional networks, for you to write, in this order.

Replace a line `raise NotImplementedError("write me")`, and save. In the checkout's top folder,
with its environment activated as README.md here says, run

    python -m examples.exercises check conv_forward

The command says whether conv_forward is right, and if not, what is wrong with its answers. With
`--hint` it also says what the mistake may be, or how to begin.

1. The convolution and its gradients, as loops: conv_forward, conv_db, conv_dw, conv_dx
2. What else a network needs: relu_backward, mse, sgd_step, psnr, bicubic_kernel.
   Then `train` trains a network, which takes some minutes.
3. The convolution again, without most of the loops: im2col, col2im. Then training takes some
   seconds.
4. What FSRCNN is made of: conv_transpose, transpose_dw, prelu_backward.

The words
---------
A picture is an array of numbers, its pixels: C channels (1 for grey, 3 for colour) of H rows
and W columns. A network is given a batch, N pictures at once:

    x  (N, C, H, W)      the pictures
    w  (K, C, kh, kw)    K filters: small arrays of numbers called weights
    b  (K,)              one number more for each filter, its bias
    y  (N, K, OH, OW)    the output: for each picture K channels, one from each filter

Filter k slides over picture n. At each place (i, j) its weights are multiplied by the pixels
that lie under them, and all products and the bias are added up:

    y[n,k,i,j] = b[k] + Σ_{c,u,v} w[k,c,u,v] · x[n, c, i+u, j+v]                  (1)

(c, u, v) is called a tap: one weight's channel, row and column in its filter. Everywhere here

- the convolution is "valid": a filter lies only where all of it is on the picture. It fits
  into OH = H - kh + 1 rows and OW = W - kw + 1 columns of places;
- the stride, the step from one place to the next, is 1.

Networks call (1) a convolution. Mathematics calls it a cross-correlation; in the convolution of
mathematics the filter is flipped, which means turned by 180 degrees: w[:, :, ::-1, ::-1]. Here it
is not flipped.

The gradients
-------------
The loss L is one number that says how wrong the whole output is. Learning changes the weights
so that L falls, and for this needs derivatives of L. The derivatives of L by all numbers of an
array are again an array of that shape, called the gradient:

    dy = ∂L/∂y,  dx = ∂L/∂x,  dw = ∂L/∂w,  db = ∂L/∂b

The gradients are found backwards, dy first. L depends on w, b and x only through y. So the
chain rule gives the derivative by any number q in w, b or x:

    ∂L/∂q = Σ_{n,k,i,j} dy[n,k,i,j] · ∂y[n,k,i,j]/∂q                             (2)

and ∂y/∂q can be read off (1): for q = w[k,c,u,v], for instance, it is x[n, c, i+u, j+v].

The rules
---------
Do not change the arrays that you are given; return new ones. Plain loops are good enough
everywhere: `check` gives small arrays, and `train` says how long it will take.
"""

import numpy as np

# 1. The convolution and its gradients, as loops
# ----------------------------------------------


def conv_forward(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the convolution y, equation (1) above.

    y[n,k,i,j] = b[k] + Σ_{c,u,v} w[k,c,u,v] · x[n, c, i+u, j+v]

    Parameters
    ----------
    x : (N, C, H, W) array
    w : (K, C, kh, kw) array
    b : (K,) array

    Returns
    -------
    y : (N, K, OH, OW) array

    Examples
    --------
    A filter of one row and two columns that subtracts each pixel from its right neighbour:

    >>> x = np.array([[[[1.0, 2.0, 4.0], [3.0, 3.0, 1.0]]]])
    >>> w = np.array([[[[-1.0, 1.0]]]])
    >>> conv_forward(x, w, np.array([10.0]))[0, 0]
    array([[11., 12.],
           [10.,  8.]])
    """
    raise NotImplementedError("write me")


def conv_db(dy: np.ndarray) -> np.ndarray:
    """Return the convolution's gradient with respect to the biases.

    db[k] = Σ_{n,i,j} dy[n,k,i,j]

    In (1), b[k] is added to y at every place of channel k in every picture, and nowhere else. So
    ∂y/∂b[k] is 1 at these places, and 0 elsewhere. Put that into (2).

    Parameters
    ----------
    dy : (N, K, OH, OW) array

    Returns
    -------
    db : (K,) array

    Examples
    --------
    Two pictures, one filter, three places:

    >>> conv_db(np.array([[[[1.0, 2.0, 3.0]]], [[[10.0, 20.0, 30.0]]]]))
    array([66.])
    """
    raise NotImplementedError("write me")


def conv_dw(dy: np.ndarray, x: np.ndarray, kh: int, kw: int) -> np.ndarray:
    """Return the convolution's gradient with respect to the weights.

    dw[k,c,u,v] = Σ_{n,i,j} dy[n,k,i,j] · x[n, c, i+u, j+v]

    Parameters
    ----------
    dy : (N, K, OH, OW) array
    x : (N, C, H, W) array
    kh, kw : int
        Rows and columns of a filter.

    Returns
    -------
    dw : (K, C, kh, kw) array

    Examples
    --------
    The left weight lies over the pixels 1 and 2, and the right weight over 2 and 4:

    >>> x = np.array([[[[1.0, 2.0, 4.0]]]])
    >>> conv_dw(np.array([[[[10.0, 1.0]]]]), x, 1, 2)
    array([[[[12., 24.]]]])
    """
    raise NotImplementedError("write me")


def conv_dx(dy: np.ndarray, w: np.ndarray, x_shape: tuple[int, int, int, int]) -> np.ndarray:
    """Return the convolution's gradient with respect to its input.

    dx[n,c,p,r] = Σ dy[n,k,i,j] · w[k,c,u,v]    over all k, i, j, u, v with i+u = p and j+v = r

    Here p and r are a pixel's row and column. In (1), a pixel reaches every place at which the
    filter covers it.

    Parameters
    ----------
    dy : (N, K, OH, OW) array
    w : (K, C, kh, kw) array
    x_shape : (N, C, H, W)
        Shape of the result.

    Returns
    -------
    dx : (N, C, H, W) array

    Examples
    --------
    At the first place the middle pixel lies under the right weight, 2. At the second place it lies
    under the left weight, 3. So its gradient is 2 · 10 + 3 · 1.

    >>> conv_dx(np.array([[[[10.0, 1.0]]]]), np.array([[[[3.0, 2.0]]]]), (1, 1, 1, 3))
    array([[[[30., 23.,  2.]]]])
    """
    raise NotImplementedError("write me")


# 2. What else a network needs
# ----------------------------


def relu_backward(dy: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return the ReLU's gradient with respect to its input.

    dx = dy where x > 0, and 0 where x <= 0

    The ReLU ("rectified linear unit") stands between two convolutions, and makes each negative
    number 0: y = max(0, x). So ∂y/∂x is 1 where x > 0, and 0 where x < 0. At x = 0 there is no
    derivative, and 0 is taken.

    Parameters
    ----------
    dy, x : arrays of one shape

    Returns
    -------
    dx : array of that shape

    Examples
    --------
    >>> relu_backward(np.array([5.0, -6.0, 7.0, 8.0]), np.array([1.0, 2.0, -3.0, 0.0]))
    array([ 5., -6.,  0.,  0.])
    """
    raise NotImplementedError("write me")


def mse(y: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the loss, and its gradient with respect to y.

    L  = 1/M Σ (y - target)²        the mean squared error, over all M = N·C·H·W values
    dy = ∂L/∂y                      derive it yourself: each value of y is in one term of the sum

    Parameters
    ----------
    y : (N, C, H, W) array
        What the network answered.
    target : (N, C, H, W) array
        What it should have answered.

    Returns
    -------
    L : float
    dy : (N, C, H, W) array

    Examples
    --------
    >>> L, dy = mse(np.array([[[[3.0, 1.0]]]]), np.array([[[[1.0, 1.0]]]]))
    >>> print(L, dy)
    2.0 [[[[2. 0.]]]]
    """
    raise NotImplementedError("write me")


def sgd_step(
    v: np.ndarray, p: np.ndarray, g: np.ndarray, rate: float, momentum: float
) -> tuple[np.ndarray, np.ndarray]:
    """Take one step of learning: change parameters so that the loss falls.

    v_new = momentum · v - rate · g
    p_new = p + v_new

    A network's parameters are its weights and biases. L grows fastest in the direction of the
    gradient, so a step goes the other way, and the learning rate says how far. Each gradient is
    that of some pictures only, which are drawn at random. So this is called stochastic gradient
    descent, SGD. The velocity v is the last step. With momentum, a part of it is taken again: steps
    that go on in one direction grow, and steps that go to and fro cancel.

    Parameters
    ----------
    v : array
        Velocity: the last step, at first 0.
    p, g : arrays of that shape
        Some parameters, and the loss's gradient with respect to them.
    rate : float
        Learning rate, positive.
    momentum : float in [0, 1)

    Returns
    -------
    v_new, p_new : arrays of that shape

    Examples
    --------
    >>> v, p, g = np.array([1.0]), np.array([10.0]), np.array([4.0])
    >>> sgd_step(v, p, g, rate=0.5, momentum=0.25)
    (array([-1.75]), array([8.25]))
    """
    raise NotImplementedError("write me")


def psnr(a: np.ndarray, b: np.ndarray, peak: float) -> float:
    """Return how alike two pictures are: their peak signal-to-noise ratio.

    psnr = 10 · log10(peak² / mean((a - b)²))

    The unit is the decibel, dB: with 10 dB more, the mean squared error is a tenth.

    Parameters
    ----------
    a, b : arrays of one shape
        Two pictures, of floating-point numbers, or of whole numbers from 0 to 255 (dtype uint8) as
        in files. Mind that uint8 has no number below 0 or above 255.
    peak : float
        The value of white: 1 or 255.

    Returns
    -------
    psnr : float
        Infinite, `np.inf`, if the pictures are equal.

    Examples
    --------
    >>> print(psnr(np.array([[0.0, 0.0]]), np.array([[0.1, 0.1]]), peak=1.0))
    20.0
    """
    raise NotImplementedError("write me")


def bicubic_kernel(t: np.ndarray) -> np.ndarray:
    """Return how much a pixel counts in bicubic interpolation, at a distance t from it.

    k(t) =  3/2 |t|³ - 5/2 |t|² + 1              where      |t| <= 1
    k(t) = -1/2 |t|³ + 5/2 |t|² - 4 |t| + 2      where 1 <  |t| <= 2
    k(t) =  0                                    where 2 <  |t|

    To enlarge a row of pixels, new pixels are put between the old ones. Each new pixel is a sum of
    the old pixels near it, each times k of its distance; k is called the kernel. A picture is
    enlarged along its rows, then along its columns. The result looks smooth, but blurred. The
    network should sharpen this result, and so beat bicubic interpolation.

    Parameters
    ----------
    t : array of any shape
        Distances in pixels of the small picture, of either sign.

    Returns
    -------
    k : array of that shape

    Examples
    --------
    >>> bicubic_kernel(np.array([-0.5, 0.0, 0.5, 1.0, 1.5, 2.5]))
    array([ 0.5625,  1.    ,  0.5625,  0.    , -0.0625,  0.    ])
    """
    raise NotImplementedError("write me")


# 3. The convolution again, without most of the loops
# ---------------------------------------------------
#
# NumPy multiplies two matrices hundreds of times as quickly as a Python loop does. Number the
# taps and the places, in the order of NumPy's reshape:
#
#     t = (c·kh + u)·kw + v    a tap's number, of T = C·kh·kw
#     p = i·OW + j             a place's number, of P = OH·OW
#
# and write the pixels that lie under the filter into the columns of a matrix, cols[n,t,p]. Then,
# for each picture n, (1) and two gradients are products of matrices:
#
#     y[n,k,p]     = b[k] + Σ_t w[k,t] · cols[n,t,p]
#     dw[k,t]      = Σ_n Σ_p dy[n,k,p] · cols[n,t,p]
#     dcols[n,t,p] = Σ_k w[k,t] · dy[n,k,p]
#
# `im2col` makes cols of x, and `col2im` makes dx of dcols. When both are right, write
# conv_forward, conv_dw and conv_dx anew with them, each in two or three lines.
# (Elsewhere these letters mean something else: in x[n,c,p,r], p is a pixel's row and r its column;
# in `sgd_step`, v is a velocity and p are parameters; in `bicubic_kernel`, t is a distance.)


def im2col(x: np.ndarray, kh: int, kw: int) -> np.ndarray:
    """Write out, for every place of a filter, the pixels under it ("image to columns").

    cols[n, t, p] = x[n, c, i+u, j+v]

    Row t is for a tap, and column p for a place: t = (c·kh + u)·kw + v and p = i·OW + j.

    Parameters
    ----------
    x : (N, C, H, W) array
    kh, kw : int
        Rows and columns of a filter.

    Returns
    -------
    cols : (N, C·kh·kw, OH·OW) array

    Examples
    --------
    The first column holds the pixels under a 2 x 2 filter at its first place, top left:

    >>> x = np.array([[[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0], [6.0, 7.0, 8.0]]]])
    >>> im2col(x, 2, 2)[0]
    array([[0., 1., 3., 4.],
           [1., 2., 4., 5.],
           [3., 4., 6., 7.],
           [4., 5., 7., 8.]])
    """
    raise NotImplementedError("write me")


def col2im(cols: np.ndarray, x_shape: tuple[int, int, int, int], kh: int, kw: int) -> np.ndarray:
    """Add every value back to the pixel that `im2col` took it from ("columns to image").

    x[n, c, p, r] = Σ cols[n, (c,u,v), (i,j)]    over all u, v, i, j with i+u = p and j+v = r

    Here p and r are a pixel's row and column. `im2col` copies a pixel to several columns. By the
    chain rule, the derivative by the pixel is the sum of the derivatives by its copies. This
    function computes that sum.

    Parameters
    ----------
    cols : (N, C·kh·kw, OH·OW) array
        Rows and columns are numbered as in `im2col`.
    x_shape : (N, C, H, W)
        Shape of the result.
    kh, kw : int
        Rows and columns of a filter.

    Returns
    -------
    x : (N, C, H, W) array

    Examples
    --------
    In a 3 x 3 picture, a 2 x 2 filter covers a corner at one place, and the middle at four places:

    >>> col2im(np.ones((1, 4, 4)), (1, 1, 3, 3), 2, 2)[0, 0]
    array([[1., 2., 1.],
           [2., 4., 2.],
           [1., 2., 1.]])
    """
    raise NotImplementedError("write me")


# --- 4. FSRCNN ----------------------------------------------------------------------------------
#
# SRCNN's authors made a faster network, FSRCNN. It works on the small picture, and its last layer
# enlarges. This layer is a transposed convolution: a convolution's way back, used forwards. It has
# a stride s, the step from one place to the next. To enlarge three times, s is 3 in the paper's
# layer.
#
# With what you have written, this layer is a few lines: for s = 1, y is what conv_dx gives for x in
# place of dy. For another s first put s - 1 zeros between the numbers of x, in both directions.


def conv_transpose(x: np.ndarray, w: np.ndarray, b: np.ndarray, s: int) -> np.ndarray:
    """Spread every number of x over y by its channel's filter; the next one begins s places on.

    y[n,k,p,r] = b[k] + Σ x[n,c,i,j] · w[c,k,u,v]
                            over all c, i, j, u, v with s·i+u = p and s·j+v = r

    Parameters
    ----------
    x : (N, C, H, W) array
    w : (C, K, kh, kw) array
        A filter for each channel of x, with as many channels as y.
    b : (K,) array
    s : int
        The stride, at least 1.

    Returns
    -------
    y : (N, K, s·(H - 1) + kh, s·(W - 1) + kw) array

    Examples
    --------
    Three numbers, each spread over three places. Where two products meet, they are added:

    >>> x, w = np.array([[[[1.0, 10.0, 100.0]]]]), np.array([[[[1.0, 2.0, 3.0]]]])
    >>> conv_transpose(x, w, np.zeros(1), 2)[0, 0]
    array([[  1.,   2.,  13.,  20., 130., 200., 300.]])
    """
    raise NotImplementedError("write me")


def transpose_dw(dy: np.ndarray, x: np.ndarray, kh: int, kw: int, s: int) -> np.ndarray:
    """Return the gradient of L with respect to the filters of a transposed convolution.

    dw[c,k,u,v] = Σ_{n,i,j} x[n,c,i,j] · dy[n, k, s·i+u, s·j+v]

    Compare it with conv_dw: x and dy have changed places.

    Parameters
    ----------
    dy : (N, K, s·(H - 1) + kh, s·(W - 1) + kw) array
    x : (N, C, H, W) array
    kh, kw : int
        Rows and columns of a filter.
    s : int
        The stride.

    Returns
    -------
    dw : (C, K, kh, kw) array

    Examples
    --------
    One number, 5, reaches the three places of its filter:

    >>> dy = np.array([[[[1.0, 2.0, 3.0]]]])
    >>> transpose_dw(dy, np.array([[[[5.0]]]]), 1, 3, 2)[0, 0]
    array([[ 5., 10., 15.]])
    """
    raise NotImplementedError("write me")


def prelu_backward(dy: np.ndarray, x: np.ndarray, a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Go back through a PReLU: y = x where x > 0, else a[c]·x, with a slope for each channel.

    dx[n,c,i,j] = dy[n,c,i,j]           where x[n,c,i,j] > 0
                  a[c] · dy[n,c,i,j]    elsewhere
    da[c]       = Σ_{n,i,j} dy[n,c,i,j] · x[n,c,i,j]    over the x that are not above 0

    Parameters
    ----------
    dy, x : (N, C, H, W) array
    a : (C,) array
        The slopes, which the network learns.

    Returns
    -------
    dx : (N, C, H, W) array
    da : (C,) array

    Examples
    --------
    >>> dy, x = np.array([[[[10.0, 100.0]]]]), np.array([[[[-3.0, 2.0]]]])
    >>> dx, da = prelu_backward(dy, x, np.array([0.5]))
    >>> dx[0, 0], da
    (array([[  5., 100.]]), array([-30.]))
    """
    raise NotImplementedError("write me")
