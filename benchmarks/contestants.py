"""Who competes: each function takes a task and gives a function that does it once.

A contestant that is not installed, or cannot do the task, raises `Absent`.
"""

import itertools
import os
import tempfile
from collections.abc import Callable

import numpy as np

from .tasks import Inference, Layer, TrainingStep

Task = Layer | Inference | TrainingStep
Run = Callable[[], object]

# glibc gives freed memory back to the system and asks for it again at every step, which
# costs PyTorch half its time on one processor; these keep it.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "4294967296", "MALLOC_TRIM_THRESHOLD_": "17179869184"}

THREADS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


class Absent(Exception):  # noqa: N818 (it is no error)
    """Why a contestant does not take part."""


def our_backend(backend: str) -> Callable[[Task], Run]:
    """One of the backends of `srcnn_np.conv`; for a network, its layers one by one."""

    def build(task: Task) -> Run:
        from srcnn_np.conv import columns, direct, naive

        module = {"naive": naive, "im2col": columns, "numba": direct}[backend]
        if isinstance(task, Layer):
            if backend == "naive" and task.flops > 5e7:
                raise Absent("plain loops would take minutes")
            a, ones = task.arrays(), (1, 1)
            return {
                "forward": lambda: module.forward(a["x"], a["w"], a["b"], ones),
                "dx": lambda: module.input_gradient(a["dy"], a["w"], a["x"].shape, ones),
                "dw": lambda: module.weight_gradient(a["dy"], a["x"], a["w"].shape, ones),
            }[task.what]
        if backend == "naive":
            raise Absent("plain loops would take minutes")
        if backend == "im2col" and isinstance(task, Inference) and task.H * task.W > 1e6:
            raise Absent("takes minutes at this size")
        network = network_of(task, backend)
        if isinstance(task, Inference):
            picture = task.picture()
            return lambda: network.predict_by_layers(picture)
        x, target = task.batch()
        return lambda: by_name(network.loss_and_gradients_by_layers(x, target))

    return build


def ours(task: Task) -> Run:
    """The fused network."""
    if isinstance(task, Layer):
        raise Absent("is for whole networks")
    network = network_of(task, "numba")
    if isinstance(task, Inference):
        picture = task.picture()
        return lambda: network.predict(picture)
    x, target = task.batch()
    return lambda: by_name(network.loss_and_gradients(x, target))


def einsum(task: Task) -> Run:
    """NumPy's einsum over a view of all windows."""
    if not isinstance(task, Layer) or task.flops > 2e9:
        raise Absent("einsum is for small layers")
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
    """scipy.signal's correlation, a picture and a filter at a time."""

    def build(task: Task) -> Run:
        from scipy import signal

        if not isinstance(task, Layer) or task.what != "forward":
            raise Absent("is for forward layers")
        if task.N * task.C * task.K > 4096 or (method == "direct" and task.flops > 1e9):
            raise Absent("would take minutes")
        a = task.arrays()
        # Correlation is convolution with the turned filter, which oaconvolve needs.
        turned = a["w"][:, :, ::-1, ::-1]
        convolve = {
            "direct": lambda x, w: signal.convolve2d(x, w, "valid"),
            "fft": lambda x, w: signal.fftconvolve(x, w, "valid"),
            "overlap-add": lambda x, w: signal.oaconvolve(x, w, "valid"),
        }[method]

        def run():
            y = np.empty_like(a["dy"])
            for n, k in itertools.product(range(task.N), range(task.K)):
                y[n, k] = a["b"][k]
                for c in range(task.C):
                    y[n, k] += convolve(a["x"][n, c], turned[k, c])
            return y

        return run

    return build


def pytorch(*, channels_last: bool, compiled: bool = False) -> Callable[[Task], Run]:
    """PyTorch, as it is, or with its faster memory layout, or compiled."""

    def build(task: Task) -> Run:
        torch = imported("torch")
        if channels_last:
            torch.set_num_threads(THREADS)
        memory = torch.channels_last if channels_last else torch.contiguous_format

        def tensor(array):
            return (
                torch.from_numpy(array).to(memory_format=memory)
                if array.ndim == 4
                else (torch.from_numpy(array))
            )

        def maybe_compiled(function):
            return torch.compile(function) if compiled else function

        if isinstance(task, Layer):
            if compiled:
                raise Absent("one layer is one call either way")
            a = {name: tensor(array) for name, array in task.arrays().items()}
            one = [1, 1]

            def backward(dx, dw):
                gradients = torch.ops.aten.convolution_backward(
                    a["dy"],
                    a["x"],
                    a["w"],
                    None,
                    one,
                    [0, 0],
                    one,
                    False,
                    [0, 0],
                    1,
                    [dx, dw, False],
                )
                return (gradients[0] if dx else gradients[1]).numpy()

            def forward():
                with torch.inference_mode():
                    return torch.nn.functional.conv2d(a["x"], a["w"], a["b"]).numpy()

            return {
                "forward": forward,
                "dx": lambda: backward(True, False),
                "dw": lambda: backward(False, True),
            }[task.what]
        module = torch_module(torch, task, replicate=isinstance(task, Inference))
        module = module.to(memory_format=memory)
        forward = maybe_compiled(module)
        if isinstance(task, Inference):
            x = tensor(task.picture()[None, None])

            def run():
                with torch.inference_mode():
                    return forward(x).numpy()[0, 0]

            return run
        x, target = map(tensor, task.batch())

        def step():
            for p in module.parameters():
                p.grad = None
            loss = torch.nn.functional.mse_loss(forward(x), target)
            loss.backward()
            return [loss.item(), *(p.grad.numpy() for p in module.parameters())]

        return step

    return build


def onnxruntime(task: Task) -> Run:
    """ONNX Runtime, on PyTorch's export."""
    runtime = imported("onnxruntime")
    path, feed = exported(task)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    shape = shape_of(task)
    return lambda: session.run(None, {"x": feed})[0].reshape(shape)


def openvino(task: Task) -> Run:
    """OpenVINO, on PyTorch's export, in float32."""
    runtime = imported("openvino")
    path, feed = exported(task)
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": THREADS,
    }
    request = runtime.Core().compile_model(path, "CPU", settings).create_infer_request()
    shape = shape_of(task)
    return lambda: request.infer({"x": feed})[0].reshape(shape)


# Name in the table, the function, and what the process's environment is given.
CONTESTANTS: dict[str, tuple[Callable[[Task], Run], dict[str, str]]] = {
    "srcnn_np": (ours, {}),
    "srcnn_np numba": (our_backend("numba"), {}),
    "srcnn_np im2col": (our_backend("im2col"), {}),
    "plain Python": (our_backend("naive"), {}),
    "NumPy einsum": (einsum, {}),
    "scipy direct": (scipy_signal("direct"), {}),
    "scipy FFT": (scipy_signal("fft"), {}),
    "scipy overlap-add": (scipy_signal("overlap-add"), {}),
    "PyTorch as installed": (pytorch(channels_last=False), {}),
    "PyTorch tuned": (pytorch(channels_last=True), KEEP_MEMORY),
    "PyTorch tuned, compiled": (pytorch(channels_last=True, compiled=True), KEEP_MEMORY),
    "ONNX Runtime": (onnxruntime, {}),
    "OpenVINO": (openvino, {}),
}


def network_of(task: Inference | TrainingStep, backend: str):
    """The network all contestants of a task run; small random biases, so that they matter."""
    from srcnn_np import SRCNN

    network = SRCNN(task.structure, seed=1, backend=backend)
    rng = np.random.default_rng(2)
    for name, p in network.params.items():
        if name.endswith(".b"):
            p += rng.normal(0, 0.05, p.shape).astype(p.dtype)
    return network


def by_name(loss_and_gradients: tuple) -> list:
    """Loss and gradients as one list, in the order PyTorch has its parameters."""
    loss, gradients = loss_and_gradients
    return [loss, *gradients.values()]


def torch_module(torch, task: Inference | TrainingStep, replicate: bool):
    """The same network as a PyTorch module."""
    network = network_of(task, "numba")
    layers = []
    for name, layer in network.layers.items():
        if name.startswith("relu"):
            layers.append(torch.nn.ReLU())
            continue
        K, C, k, _ = layer.params["w"].shape
        how = {"padding": k // 2, "padding_mode": "replicate"} if replicate else {}
        conv = torch.nn.Conv2d(C, K, k, **how)
        with torch.no_grad():
            conv.weight.copy_(torch.from_numpy(layer.params["w"]))
            conv.bias.copy_(torch.from_numpy(layer.params["b"]))
        layers.append(conv)
    return torch.nn.Sequential(*layers)


def exported(task: Task) -> tuple[str, np.ndarray]:
    """An ONNX file of the task, and its input."""
    torch = imported("torch")
    imported("onnx")
    if isinstance(task, Inference):
        module, x = torch_module(torch, task, replicate=True), task.picture()[None, None]
    elif isinstance(task, Layer) and task.what == "forward":
        a = task.arrays()
        module, x = torch.nn.Conv2d(task.C, task.K, task.k), a["x"]
        with torch.no_grad():
            module.weight.copy_(torch.from_numpy(a["w"]))
            module.bias.copy_(torch.from_numpy(a["b"]))
    else:
        raise Absent("runs networks, but does not train them")
    path = os.path.join(tempfile.mkdtemp(), "network.onnx")
    torch.onnx.export(module.eval(), (torch.from_numpy(x),), path, dynamo=False, input_names=["x"])
    return path, x


def shape_of(task: Task) -> tuple[int, ...]:
    """Of what a forward task gives."""
    return (task.H, task.W) if isinstance(task, Inference) else task.arrays()["dy"].shape


def imported(name: str):
    """A module, or Absent."""
    try:
        return __import__(name)
    except ImportError:
        raise Absent(f"{name} is not installed") from None
