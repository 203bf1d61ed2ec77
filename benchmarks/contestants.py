"""Who competes: each function takes a task and gives a function that does it once.

A contestant that is not installed, or cannot do the task, raises `Absent`.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from srcnn_np.conv.threads import THREADS

from .tasks import Inference, Layer, Task, TrainingStep

Run = Callable[[], object]

# Each library counts its threads by a variable of its own.
_COUNTS = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
ALL_THREADS, ONE_THREAD = dict.fromkeys(_COUNTS, str(THREADS)), dict.fromkeys(_COUNTS, "1")
RATE, MOMENTUM = 1e-3, 0.9  # of a training step's SGD


class Absent(Exception):  # noqa: N818 (it is no error)
    """Why a contestant does not take part."""


class Contestant(NamedTuple):
    """How a task is built, and what its process's environment is given."""

    build: Callable[[Task], Run]
    environment: dict[str, str]


# --- ours ----------------------------------------------------------------------------------


def ours(task: Task) -> Run:
    """The fused network."""
    if isinstance(task, Layer):
        raise Absent("is for whole networks")
    network = network_of(task, "numba")
    if isinstance(task, Inference):
        picture = task.picture()
        return lambda: network.predict(picture)
    return training(task, network, network.loss_and_gradients)


def our_layers(backend: str) -> Callable[[Task], Run]:
    """One of the backends of `srcnn_np.conv`; for a network, its layers one by one."""

    def build(task: Task) -> Run:
        from srcnn_np.conv import columns, direct, naive

        if backend == "naive" and task.flops > 2e7:
            raise Absent("plain loops would take minutes")
        if isinstance(task, Layer):
            module = {"naive": naive, "im2col": columns, "numba": direct}[backend]
            a, ones = task.arrays(), (1, 1)
            return {
                "forward": lambda: module.forward(a["x"], a["w"], a["b"], ones),
                "dx": lambda: module.input_gradient(a["dy"], a["w"], a["x"].shape, ones),
                "dw": lambda: module.weight_gradient(a["dy"], a["x"], a["w"].shape, ones),
            }[task.what]
        network = network_of(task, backend)
        if isinstance(task, Inference):
            picture = task.picture()
            return lambda: network.predict_by_layers(picture)
        return training(task, network, network.loss_and_gradients_by_layers)

    return build


def network_of(task: Inference | TrainingStep, backend: str):
    """The network all contestants of a task run; small random biases, so that they matter."""
    from srcnn_np import SRCNN

    network = SRCNN(task.structure, seed=1, backend=backend)
    rng = np.random.default_rng(2)
    for name, p in network.params.items():
        if name.endswith(".b"):
            p += rng.normal(0, 0.05, p.shape).astype(p.dtype)
    return network


def training(task: TrainingStep, network, loss_and_gradients) -> Run:
    """A step of SGD; gives the loss and the gradients, in the order PyTorch has them."""
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
    """NumPy's einsum over a view of all windows."""
    if not isinstance(task, Layer) or task.flops > 2e8:
        raise Absent("is for small layers")
    a, k = task.arrays(), task.k
    windows = np.lib.stride_tricks.sliding_window_view
    if task.what == "forward":
        view = windows(a["x"], (k, k), (2, 3))
        bias = a["b"][:, None, None]
        return lambda: np.einsum("ncijuv,kcuv->nkij", view, a["w"], optimize=True) + bias
    if task.what == "dw":
        view = windows(a["x"], (k, k), (2, 3))
        return lambda: np.einsum("ncijuv,nkij->kcuv", view, a["dy"], optimize=True)
    wide = np.pad(a["dy"], ((0, 0), (0, 0), (k - 1, k - 1), (k - 1, k - 1)))
    view, turned = windows(wide, (k, k), (2, 3)), a["w"][:, :, ::-1, ::-1]
    return lambda: np.einsum("nkijuv,kcuv->ncij", view, turned, optimize=True)


def scipy_signal(method: str) -> Callable[[Task], Run]:
    """scipy.signal's convolution, a picture at a time; "direct" a channel and filter at a time."""

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
    """PyTorch in one of its memory layouts, compiled or not."""

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
        forward = torch.compile(module) if compiled else module
        if isinstance(task, Inference):
            x = tensor(task.picture()[None, None])

            def run() -> np.ndarray:
                with torch.inference_mode():
                    return forward(x).numpy()[0, 0]

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

    def backward(dx: bool, dw: bool) -> np.ndarray:
        one, zero = [1, 1], [0, 0]
        gradients = torch.ops.aten.convolution_backward(
            a["dy"], a["x"], a["w"], None, one, zero, one, False, zero, 1, [dx, dw, False]
        )
        return (gradients[0] if dx else gradients[1]).numpy()

    def forward() -> np.ndarray:
        with torch.inference_mode():
            return torch.nn.functional.conv2d(a["x"], a["w"], a["b"]).numpy()

    return {
        "forward": forward,
        "dx": lambda: backward(True, False),
        "dw": lambda: backward(False, True),
    }[task.what]


def _torch_network(torch, task: Inference | TrainingStep):
    """The same network as a PyTorch module."""
    layers = []
    for w, b in _weights(task):
        K, C, k, _ = w.shape
        same = {"padding": k // 2, "padding_mode": "replicate"}
        conv = torch.nn.Conv2d(C, K, k, **(same if isinstance(task, Inference) else {}))
        with torch.no_grad():
            conv.weight.copy_(torch.from_numpy(w))
            conv.bias.copy_(torch.from_numpy(b))
        layers += [conv, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


# --- ONNX Runtime and OpenVINO -------------------------------------------------------------


def onnxruntime(task: Task) -> Run:
    """ONNX Runtime."""
    runtime = imported("onnxruntime")
    x, graph = onnx_graph(task)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = runtime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return lambda: squeezed(task, session.run(None, {"x": x})[0])


def openvino(task: Task) -> Run:
    """OpenVINO, in float32."""
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
        return squeezed(task, request.infer({"x": x}, share_inputs=True, share_outputs=True)[0])

    return run


def onnx_graph(task: Task) -> tuple[np.ndarray, bytes]:
    """The input, and the task as an ONNX graph."""
    onnx = imported("onnx")
    if isinstance(task, Layer) and task.what == "forward":
        a = task.arrays()
        x, weights = a["x"], [(a["w"], a["b"])]
    elif isinstance(task, Inference):
        x, weights = task.picture()[None, None], _weights(task)
    else:
        raise Absent("runs networks, but does not train them")
    nodes, constants, last = [], [], "x"

    def node(kind: str, name: str, *inputs: tuple[str, np.ndarray], **options) -> None:
        nonlocal last
        constants.extend(onnx.numpy_helper.from_array(array, key) for key, array in inputs)
        inputs = [last, *(key for key, _ in inputs)]
        nodes.append(onnx.helper.make_node(kind, inputs, [name], **options))
        last = name

    for n, (w, b) in enumerate(weights, 1):
        if isinstance(task, Inference) and w.shape[2] > 1:
            p = w.shape[2] // 2
            pads = np.array([0, 0, p, p, 0, 0, p, p])
            node("Pad", f"pad{n}", (f"pads{n}", pads), mode="edge")
        node("Conv", f"conv{n}", (f"w{n}", w), (f"b{n}", b))
        if n < len(weights):
            node("Relu", f"relu{n}")
    describe, kind = onnx.helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    ends = [describe("x", kind, x.shape)], [describe(last, kind, [None] * 4)]
    graph = onnx.helper.make_graph(nodes, "network", *ends, constants)
    opset = onnx.helper.make_opsetid("", 17)
    return x, onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString()


def squeezed(task: Task, y: np.ndarray) -> np.ndarray:
    """The result as all give it: (H, W) of a whole picture."""
    return y[0, 0] if isinstance(task, Inference) else y


def _weights(task: Inference | TrainingStep) -> list[tuple[np.ndarray, np.ndarray]]:
    params = network_of(task, "numba").params
    return [(params[f"conv{n}.w"], params[f"conv{n}.b"]) for n in (1, 2, 3)]


def imported(name: str):
    """A module, or Absent."""
    try:
        return __import__(name)
    except ImportError:
        raise Absent(f"{name} is not installed") from None


# glibc gives freed memory back to the system and asks for it again at every step, which
# costs PyTorch 12 to 66% of its time in results/network.json; these keep it.
_KEEP = {"MALLOC_MMAP_THRESHOLD_": "4294967296", "MALLOC_TRIM_THRESHOLD_": "17179869184"}

CONTESTANTS = {
    "srcnn_np": Contestant(ours, {}),
    "srcnn_np, Winograd first layer only": Contestant(ours, {"SRCNN_NP_WINOGRAD": "first"}),
    "srcnn_np, no Winograd": Contestant(ours, {"SRCNN_NP_WINOGRAD": "none"}),
    "srcnn_np, layers, numba": Contestant(our_layers("numba"), {}),
    "srcnn_np, layers, im2col": Contestant(our_layers("im2col"), {}),
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
    "srcnn_np, 1 thread": Contestant(ours, ONE_THREAD),
    "PyTorch tuned, 1 thread": Contestant(pytorch(channels_last=True), {**_KEEP, **ONE_THREAD}),
}
