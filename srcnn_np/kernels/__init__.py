"""The fast kernels, all built on one product. None of them is needed to understand a convolution.

- `srcnn_np.kernels.vectors`: the processor's vector registers, as values in Numba;
- `srcnn_np.kernels.product`: the one matrix product, its sums in registers;
- `srcnn_np.kernels.layouts`: how pictures and filters lie in memory;
- `srcnn_np.kernels.direct`: the plain sums of a convolution, as matrix products;
- `srcnn_np.kernels.winograd`, `srcnn_np.kernels.first`: fewer multiplications than the plain sums;
- `srcnn_np.kernels.pixels`: a stack of layers of few filters, with pixels as lanes;
- `srcnn_np.kernels.activations`: what comes after a convolution;
- `srcnn_np.kernels.convolution`: which of these a layer uses;
- `srcnn_np.kernels.memory`: arrays that a thread uses again and again;
- `srcnn_np.kernels.sub_images`: what a network learns from, cut out of pictures.

A kernel computes a *piece*, which is some rows of some pictures, in the thread that calls it.
`srcnn_np.conv` joins pieces into whole arrays; `srcnn_np.fused` takes them through whole networks.
"""
