"""The contestants: each function takes a task and returns a function that does it once.

A contestant that is not installed, or cannot do the task, raises `Absent`.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from srcnn_np.conv.threads import THREADS

from .tasks import Inference, Layer, Task, TrainingStep

Run = Callable[[], object]

# Each library has a variable of its own for its number of threads.
_COUNTS = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
ALL_THREADS, ONE_THREAD = dict.fromkeys(_COUNTS, str(THREADS)), dict.fromkeys(_COUNTS, "1")
RATE, MOMENTUM = 1e-3, 0.9  # of a training step's SGD


class Absent(Exception):  # noqa: N818 (it is no error)
    """Why a contestant does not take part."""


class Contestant(NamedTuple):
    """How it builds a task, what its process's environment adds, and how exact its result must be.

    `tolerance` bounds the difference of results, relative to their largest value.
    """

    build: Callable[[Task], Run]
    environment: dict[str, str]
    tolerance: float = 1e-3


# --- ours ----------------------------------------------------------------------------------


def ours(task: Task) -> Run:
    """Run the fused network."""
    if isinstance(task, Layer):
        raise Absent("is for whole networks")
    network = network_of(task, "numba")
    if isinstance(task, Inference):
        picture = task.picture()
        return lambda: network.predict(picture)
    return training(task, network, network.loss_and_gradients)


def our_layers(backend: str) -> Callable[[Task], Run]:
    """Run a backend of `srcnn_np.conv`, or "shifted"; a network runs layer by layer.

    "numba" gets pictures with the channels of a pixel side by side. It returns this layout itself,
    and "PyTorch tuned" gets the same layout.
    """

    def build(task: Task) -> Run:
        from srcnn_np.conv import columns, compiled, naive, shifted

        if backend == "naive" and task.flops > 2e7:
            raise Absent("plain loops would take minutes")
        if isinstance(task, Layer):
            own = {"naive": naive, "im2col": columns, "numba": compiled, "shifted": shifted}
            return _our_layer(task, own[backend])
        if backend == "shifted":
            raise Absent("is for single layers")
        network = network_of(task, backend)
        if isinstance(task, Inference):
            picture = task.picture()
            return lambda: network.predict_by_layers(picture)
        return training(task, network, network.loss_and_gradients_by_layers)

    return build


def _our_layer(task: Layer, module) -> Run:
    a, ones = task.arrays(), (1, 1)
    if hasattr(module, "gradients"):
        from srcnn_np.kernels.layouts import channels_first, channels_last

        a |= {name: channels_first(channels_last(a[name])) for name in ("x", "dy")}
    runs = _with_both(
        {
            "forward": lambda: module.forward(a["x"], a["w"], a["b"], ones),
            "dx": lambda: module.input_gradient(a["dy"], a["w"], a["x"].shape, ones),
            "dw": lambda: module.weight_gradient(a["dy"], a["x"], a["w"].shape, ones),
        }
    )
    if hasattr(module, "gradients"):
        runs["dx and dw"] = lambda: list(module.gradients(a["dy"], a["x"], a["w"], ones))
    return runs[task.what]


def _with_both(runs: dict[str, Run]) -> dict[str, Run]:
    """Add the run that computes one gradient after the other."""
    return {**runs, "dx and dw": lambda: [runs["dx"](), runs["dw"]()]}


def network_of(task: Inference | TrainingStep, backend: str):
    """Return the network of a task's contestants; its biases are small, but not 0: they matter."""
    from srcnn_np import Sequential
    from srcnn_np.layers import ClippedLeakyReLU, Conv2D, ConvTranspose2D, PReLU, ReLU

    given = task.network
    activation = {"relu": ReLU, "clipped": ClippedLeakyReLU, "prelu": PReLU}[given.activation]
    how = {"border": "zero" if given.border == "zero" else "valid", "backend": backend}
    layers = []
    for C, K, k in given.layers:
        slopes = (K,) if activation is PReLU else ()
        layers += [Conv2D(C, K, k, **how), activation(*slopes)]
    layers = layers if given.last else layers[:-1]
    if given.zoom > 1:
        layers[-1] = ConvTranspose2D(*given.layers[-1], stride=given.zoom, **how)
    once = "replicate-once" if given.border == "once" else "replicate"
    network = Sequential(layers, predict_border=once, seed=1)
    rng = np.random.default_rng(2)
    for name, p in network.params.items():
        if name.endswith((".b", ".a")):
            p += rng.normal(0, 0.05, p.shape).astype(p.dtype)
    return network


def training(task: TrainingStep, network, loss_and_gradients) -> Run:
    """Return a step of SGD: a function that returns the loss and gradients in PyTorch's order."""
    from srcnn_np.optim import SGD

    x, target = task.batch()
    optimiser = SGD(RATE, MOMENTUM, nesterov=True)

    def step() -> list:
        loss, gradients = loss_and_gradients(x, target)
        optimiser.step(network.params, gradients)
        return [loss, *gradients.values()]

    return step


# --- NumPy and SciPy -----------------------------------------------------------------------


def einsum(task: Task) -> Run:
    """Run NumPy's einsum over a view of all windows."""
    if not isinstance(task, Layer) or task.flops > 2e8:
        raise Absent("is for small layers")
    a, k = task.arrays(), task.k
    windows = np.lib.stride_tricks.sliding_window_view
    seen = windows(a["x"], (k, k), (2, 3))
    wide = np.pad(a["dy"], ((0, 0), (0, 0), (k - 1, k - 1), (k - 1, k - 1)))
    seen_back, turned = windows(wide, (k, k), (2, 3)), a["w"][:, :, ::-1, ::-1]
    bias = a["b"][:, None, None]
    return _with_both(
        {
            "forward": lambda: np.einsum("ncijuv,kcuv->nkij", seen, a["w"], optimize=True) + bias,
            "dw": lambda: np.einsum("ncijuv,nkij->kcuv", seen, a["dy"], optimize=True),
            "dx": lambda: np.einsum("nkijuv,kcuv->ncij", seen_back, turned, optimize=True),
        }
    )[task.what]


def scipy_signal(method: str) -> Callable[[Task], Run]:
    """Run scipy.signal's convolution picture by picture, and "direct" filter by filter, too."""

    def build(task: Task) -> Run:
        from scipy import fft, signal

        if not isinstance(task, Layer) or task.what != "forward" or task.flops > 2e8:
            raise Absent("is for small layers, forward")
        a = task.arrays()
        # Correlation is convolution with the turned filter.
        turned = a["w"][:, :, ::-1, ::-1]
        if method == "direct":

            def correlate(x: np.ndarray) -> np.ndarray:
                pairs = [
                    [signal.convolve2d(*p, "valid") for p in zip(x, w, strict=True)] for w in turned
                ]
                return np.sum(pairs, axis=1)

        else:
            convolve = {"FFT": signal.fftconvolve, "overlap-add": signal.oaconvolve}[method]

            def correlate(x: np.ndarray) -> np.ndarray:
                with fft.set_workers(THREADS):
                    return convolve(x[None], turned, "valid", axes=(2, 3)).sum(axis=1)

        return lambda: np.stack([correlate(x) for x in a["x"]]) + a["b"][:, None, None]

    return build


# --- PyTorch -------------------------------------------------------------------------------


def pytorch(*, channels_last: bool, compiled: bool = False) -> Callable[[Task], Run]:
    """Run PyTorch in one of its memory layouts, compiled or not."""

    def build(task: Task) -> Run:
        torch = imported("torch")
        memory = torch.channels_last if channels_last else torch.contiguous_format

        def tensor(array: np.ndarray):
            a = torch.from_numpy(array)
            return a.to(memory_format=memory) if array.ndim == 4 else a

        if isinstance(task, Layer):
            if compiled:
                raise Absent("one layer is one call either way")
            return _torch_layer(torch, task, tensor)
        module = _torch_network(torch, task).to(memory_format=memory)
        forward = torch.compile(module, dynamic=False) if compiled else module
        if isinstance(task, Inference):
            x = tensor(task.batch())

            def run() -> np.ndarray:
                with torch.inference_mode():
                    return result_of(task, forward(x).numpy())

            return run
        x, target = map(tensor, task.batch())
        optimiser = torch.optim.SGD(module.parameters(), RATE, momentum=MOMENTUM, nesterov=True)

        def step() -> list:
            optimiser.zero_grad()
            loss = torch.nn.functional.mse_loss(forward(x), target)
            loss.backward()
            optimiser.step()
            return [loss.item(), *(p.grad.numpy() for p in module.parameters())]

        return step

    return build


def _torch_layer(torch, task: Layer, tensor) -> Run:
    a = {name: tensor(array) for name, array in task.arrays().items()}

    def backward(dx: bool, dw: bool) -> list[np.ndarray]:
        one, zero = [1, 1], [0, 0]
        gradients = torch.ops.aten.convolution_backward(
            a["dy"], a["x"], a["w"], None, one, zero, one, False, zero, 1, [dx, dw, False]
        )
        return [g.numpy() for g, wanted in zip(gradients, (dx, dw), strict=False) if wanted]

    def forward() -> np.ndarray:
        with torch.inference_mode():
            return torch.nn.functional.conv2d(a["x"], a["w"], a["b"]).numpy()

    return {
        "forward": forward,
        "dx": lambda: backward(True, False)[0],
        "dw": lambda: backward(False, True)[0],
        "dx and dw": lambda: backward(True, True),
    }[task.what]


def _torch_network(torch, task: Inference | TrainingStep):
    """Return the same network as a PyTorch module."""
    nn, (low, high, slope, floor, ceiling) = torch.nn, CLIPPED

    class Clipped(nn.Module):
        def forward(self, z):
            y = torch.lerp(z.clamp(low, high), z, slope)
            return torch.where(z < floor, 0.0, torch.where(z > ceiling, 1.0, y))

    layers = []
    for layer in _layers(task):
        if layer.copies:
            layers.append(nn.ReplicationPad2d(layer.copies))
        if layer.stride > 1:
            kind, how = nn.ConvTranspose2d, {"stride": layer.stride, "padding": layer.crop}
        else:
            kind, how = nn.Conv2d, {"padding": layer.zeros}
        conv = kind(*layer.channels, layer.w.shape[2], **how)
        with torch.no_grad():
            conv.weight.copy_(torch.from_numpy(layer.w))
            conv.bias.copy_(torch.from_numpy(layer.b))
        layers.append(conv)
        if layer.active == "prelu":
            layers.append(nn.PReLU(len(layer.slopes)))
            with torch.no_grad():
                layers[-1].weight.copy_(torch.from_numpy(layer.slopes))
        else:
            layers.append({"relu": nn.ReLU, "clipped": Clipped, "": nn.Identity}[layer.active]())
    return nn.Sequential(*layers)


# --- those that only run networks ------------------------------------------------------------


def onnxruntime(task: Task) -> Run:
    """Run ONNX Runtime."""
    runtime = imported("onnxruntime")
    x, graph = onnx_graph(task)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = runtime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return lambda: result_of(task, session.run(None, {"x": x})[0])


def openvino(task: Task) -> Run:
    """Run OpenVINO, in float32."""
    runtime = imported("openvino")
    x, graph = onnx_graph(task)
    core = runtime.Core()
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": THREADS,
    }
    model = core.compile_model(core.read_model(graph, b""), "CPU", settings)
    request = model.create_infer_request()

    def run() -> np.ndarray:
        return result_of(task, request.infer({"x": x}, share_inputs=True, share_outputs=True)[0])

    return run


def mnn(task: Task) -> Run:
    """Run MNN, in float32.

    MNN's converter is called without MNN.tools, which would install a package, and send the
    converted network to the maker's log.
    """
    imported("MNN")
    import _tools
    from MNN import expr, nn

    x, graph = onnx_graph(task)
    with tempfile.TemporaryDirectory() as folder:
        source, model = f"{folder}/network.onnx", f"{folder}/network.mnn"
        Path(source).write_bytes(graph)
        words = ["-f", "ONNX", "--modelFile", source, "--MNNModel", model, "--bizCode", "none"]
        _tools.mnnconvert(["mnnconvert", *words])
        settings = {"precision": "high", "backend": "CPU", "numThread": THREADS}
        runtime = nn.create_runtime_manager((settings,))
        network = nn.load_module_from_file(model, ["x"], ["y"], runtime_manager=runtime)
    given = expr.placeholder(list(x.shape), expr.NCHW)
    given.write(np.ascontiguousarray(x))
    return lambda: result_of(task, np.array(network.forward(given).read()))


def opencv(task: Task) -> Run:
    """Run OpenCV's dnn module, on which its dnn_superres is built."""
    cv2 = imported("cv2")
    x, graph = onnx_graph(task)
    cv2.setNumThreads(THREADS)
    network, x = cv2.dnn.readNetFromONNX(np.frombuffer(graph, np.uint8)), np.ascontiguousarray(x)

    def run() -> np.ndarray:
        network.setInput(x)
        return result_of(task, network.forward())

    return run


def ncnn(task: Task) -> Run:
    """Run ncnn, in float32, on a network in its own text format, one picture at a time."""
    runtime = imported("ncnn")
    x, layers = _one_way(task)
    lines, weights, last = ["Input x 0 1 x"], b"", "x"

    def layer(kind: str, *inputs: str, **options: float) -> str:
        name = f"blob{len(lines)}"
        numbers = " ".join(f"{key[1:]}={value}" for key, value in options.items())
        lines.append(f"{kind} {name} {len(inputs)} 1 {' '.join(inputs)} {name} {numbers}")
        return name

    def shared(blob: str, count: int) -> list[str]:
        names = [f"{blob}_{n}" for n in range(count)]
        lines.append(f"Split {blob}_split 1 {count} {blob} {' '.join(names)}")
        return names

    for given in layers:
        w, n = given.w, given.copies
        (_, K), k = given.channels, given.w.shape[2]
        if n:
            last = layer("Padding", last, _0=n, _1=n, _2=n, _3=n, _4=1)
        if given.stride > 1:
            w = np.ascontiguousarray(w.swapaxes(0, 1))
            how = {"_3": given.stride, "_4": given.crop}
            kind = "Deconvolution"
        else:
            how, kind = {"_4": given.zeros, "_9": +(given.active == "relu")}, "Convolution"
        last = layer(kind, last, _0=K, _1=k, _5=1, _6=w.size, **how)
        weights += bytes(4) + w.tobytes() + given.b.tobytes()
        if given.active == "prelu":
            last = layer("PReLU", last, _0=K)
            weights += given.slopes.tobytes()
        if given.active == "clipped":
            low, high, slope, floor, _ = CLIPPED
            first, second, third = shared(last, 3)
            inner_1, inner_2 = shared(layer("Clip", first, _0=low, _1=high), 2)
            outer = layer("BinaryOp", second, inner_1, _0=1)
            outer = layer("BinaryOp", outer, _0=2, _1=1, _2=slope)
            y = layer("Clip", layer("BinaryOp", inner_2, outer, _0=0), _0=-1.0, _1=1.0)
            last = layer("BinaryOp", y, layer("Threshold", third, _0=floor), _0=2)
    network = runtime.Net()
    for name in dir(network.opt):
        if name.startswith(("use_fp16", "use_bf16")):
            setattr(network.opt, name, False)
    network.opt.num_threads = THREADS
    blobs = sum(int(line.split()[3]) for line in lines)
    network.load_param_mem("\n".join(["7767517", f"{len(lines)} {blobs}", *lines, ""]))
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "weights").write_bytes(weights)
        network.load_model(f"{folder}/weights")
    x = np.ascontiguousarray(x)  # this name keeps the array; a Mat does not
    pictures = [runtime.Mat(picture).clone() for picture in x]

    def run() -> np.ndarray:
        results = []
        for picture in pictures:
            extractor = network.create_extractor()
            extractor.input("x", picture)
            results.append(np.array(extractor.extract(last)[1]))
        return result_of(task, np.stack(results))

    return run


def onnx_graph(task: Task) -> tuple[np.ndarray, bytes]:
    """Return the input x, and the task as an ONNX graph with the result y."""
    onnx = imported("onnx")
    x, layers = _one_way(task)
    nodes, constants = [], []

    def node(kind: str, *inputs: str | np.ndarray, **options: object) -> str:
        name, names = f"{kind}{len(nodes)}", []
        for n, given in enumerate(inputs):
            names.append(given if isinstance(given, str) else f"{name}_{n}")
            if not isinstance(given, str):
                constants.append(onnx.numpy_helper.from_array(given, names[-1]))
        nodes.append(onnx.helper.make_node(kind, names, [name], **options))
        return name

    last = "x"
    for layer in layers:
        if n := layer.copies:
            last = node("Pad", last, np.array([0, 0, n, n] * 2), mode="edge")
        if layer.stride > 1:
            how = {"pads": [layer.crop] * 4, "strides": [layer.stride] * 2}
            last = node("ConvTranspose", last, layer.w, layer.b, **how)
        else:
            last = node("Conv", last, layer.w, layer.b, pads=[layer.zeros] * 4)
        if layer.active == "relu":
            last = node("Relu", last)
        elif layer.active == "prelu":
            last = node("PRelu", last, layer.slopes[:, None, None])
        elif layer.active == "clipped":
            low, high, slope, floor, _ = map(np.float32, CLIPPED)
            inner = node("Clip", last, low, high)
            outer = node("Mul", node("Sub", last, inner), slope)
            y = node("Min", node("Add", inner, outer), np.float32(1))
            # Not "Less", which MNN 3.6 computes wrongly.
            last = node("Where", node("Greater", last, floor), y, np.float32(0))
    nodes[-1].output[0] = "y"
    describe, kind = onnx.helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    ends = [describe("x", kind, x.shape)], [describe("y", kind, [None] * 4)]
    graph = onnx.helper.make_graph(nodes, "network", *ends, constants)
    opset = onnx.helper.make_opsetid("", 17)
    return x, onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString()


def result_of(task: Task, y: np.ndarray) -> np.ndarray:
    """Return the result in the common form: a whole picture is (H, W) or (H, W, K)."""
    if not isinstance(task, Inference):
        return y
    return y[0, 0] if y.shape[1] == 1 else y[0].transpose(1, 2, 0)


# theanonSR's activation is the identity from the first number to the second. Outside, its slope is
# the third number. It is 0 below the fourth, and 1 above the fifth, where it has just reached 1.
CLIPPED = (1 / 256, 255 / 256, 1 / 1280, -1179 / 256, 1535 / 256)


def _one_way(task: Task):
    """Return the input (N, C, H, W) and `_layers`, for systems that do not train."""
    if isinstance(task, Layer) and task.what == "forward":
        a = task.arrays()
        return a["x"], [_Given(a["w"], a["b"])]
    if isinstance(task, Inference):
        return task.batch(), _layers(task)
    raise Absent("runs networks, but does not train them")


class _Given(NamedTuple):
    """A layer, as other libraries need it.

    Attributes
    ----------
    w, b : arrays
        w is (K, C, k, k), or (C, K, k, k) for a transposed convolution.
    copies, zeros : int
        How many pixels are first put around x: copies of its edge, or zeros, but not both.
    active : "", "relu", "prelu" or "clipped"
    slopes : (K,) array, optional
    stride, crop : int
        For a transposed convolution: its stride, above 1, and how many pixels around y are dropped.
    """

    w: np.ndarray
    b: np.ndarray
    copies: int = 0
    zeros: int = 0
    active: str = ""
    slopes: np.ndarray | None = None
    stride: int = 1
    crop: int = 0

    @property
    def channels(self) -> tuple[int, int]:
        """The numbers of channels in and out."""
        one, other = self.w.shape[:2]
        return (one, other) if self.stride > 1 else (other, one)


def _layers(task: Inference | TrainingStep) -> list[_Given]:
    """Return the layers of a task's network."""
    network, params = task.network, network_of(task, "numba").params
    found = []
    for n, seen in enumerate(network.seen, 1):
        is_last, border = n == len(network.seen), {}
        if network.border == "zero":
            border = {"zeros": seen // 2}
        elif isinstance(task, Inference):
            once = network.margin if n == 1 else 0
            border = {"copies": once if network.border == "once" else seen // 2}
        layer = _Given(params.get(f"conv{n}.w"), params.get(f"conv{n}.b"), **border)
        if is_last and network.zoom > 1:
            k, zoom = network.sides[-1], network.zoom
            w, b = params["convtranspose1.w"], params["convtranspose1.b"]
            # x's outer seen // 2 pixels have no result: `copies` added them, or they lack
            # neighbours.
            crop = (k - zoom) // 2 + zoom * (seen // 2)
            layer = layer._replace(w=w, b=b, stride=zoom, crop=crop)
        if not is_last or network.last:
            slopes = params.get(f"prelu{n}.a")
            layer = layer._replace(active=network.activation, slopes=slopes)
        found.append(layer)
    return found


def imported(name: str):
    """Return a module, or raise Absent."""
    try:
        return __import__(name)
    except ImportError:
        raise Absent(f"{name} is not installed") from None


# glibc returns freed memory to the system and asks for it again at every step, which costs PyTorch
# much of its time. With these settings it keeps the memory.
_KEEP = {"MALLOC_MMAP_THRESHOLD_": "4294967296", "MALLOC_TRIM_THRESHOLD_": "17179869184"}

CONTESTANTS = {
    "srcnn_np": Contestant(ours, {}),
    "srcnn_np, no Winograd": Contestant(ours, {"SRCNN_NP_WINOGRAD": "0"}),
    # A layer's result is a large new array, as in PyTorch. So memory is kept here, too.
    "srcnn_np, layers, numba": Contestant(our_layers("numba"), _KEEP),
    "srcnn_np, layers, numba, no Winograd": Contestant(
        our_layers("numba"), {**_KEEP, "SRCNN_NP_WINOGRAD": "0"}
    ),
    "srcnn_np, layers, im2col": Contestant(our_layers("im2col"), {}),
    "srcnn_np, layers, shifted": Contestant(our_layers("shifted"), {}),
    "plain Python": Contestant(our_layers("naive"), {}),
    "NumPy einsum": Contestant(einsum, {}),
    "scipy direct": Contestant(scipy_signal("direct"), {}),
    "scipy FFT": Contestant(scipy_signal("FFT"), {}),
    "scipy overlap-add": Contestant(scipy_signal("overlap-add"), {}),
    "PyTorch as installed": Contestant(pytorch(channels_last=False), {}),
    "PyTorch, memory kept": Contestant(pytorch(channels_last=False), _KEEP),
    "PyTorch tuned": Contestant(pytorch(channels_last=True), _KEEP),
    "PyTorch tuned, compiled": Contestant(pytorch(channels_last=True, compiled=True), _KEEP),
    "ONNX Runtime": Contestant(onnxruntime, {}),
    "OpenVINO": Contestant(openvino, {}),
    # MNN's Winograd errs by up to 1e-3, even at "high" precision; all others err by 1e-5 or less.
    "MNN": Contestant(mnn, {}, tolerance=5e-3),
    "ncnn": Contestant(ncnn, {}),
    "OpenCV": Contestant(opencv, {}),
    "srcnn_np, 1 thread": Contestant(ours, ONE_THREAD),
    "PyTorch tuned, 1 thread": Contestant(pytorch(channels_last=True), {**_KEEP, **ONE_THREAD}),
}
