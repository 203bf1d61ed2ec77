"""The races: their titles, and who takes part."""

from collections.abc import Iterator

from .contestants import CONTESTANTS, THREADS
from .race import Entry
from .tasks import NETWORKS, Inference, Layer, Task, TrainingStep

Race = tuple[str, list[Entry]]

LAYERS = {  # C, K, k, and the side of its input in a 33 x 33 sub-image
    "first layer, 1 -> 64, 9 x 9": (1, 64, 9, 33),
    "1 x 1, 64 -> 32": (64, 32, 1, 25),
    "3 x 3, 64 -> 32": (64, 32, 3, 25),
    "5 x 5, 64 -> 32": (64, 32, 5, 25),
    "last layer, 32 -> 1, 5 x 5": (32, 1, 5, 25),
}
SIZES = {
    "128 x 128": (128, 128),
    "256 x 256": (256, 256),
    "512 x 768": (512, 768),
    "1080p": (1080, 1920),
    "4K": (2160, 3840),
}
FSRCNN = "FSRCNN x3"
PAIR = f"{FSRCNN} and 9-5-5"
SLOW = {"plain Python", "NumPy einsum", "scipy direct", "scipy FFT", "scipy overlap-add"}
OWN = {"srcnn_np, layers, numba", "srcnn_np, layers, im2col"}
OURS = {"srcnn_np", "srcnn_np, no Winograd"}
ONE_LAYER_MORE = {"srcnn_np, layers, numba, no Winograd", "srcnn_np, layers, shifted"}
YARDSTICKS = [
    name
    for name in CONTESTANTS
    if name.startswith(("PyTorch", "ONNX", "OpenVINO", "MNN", "ncnn"))
    and not name.endswith("1 thread")
]
# On one layer these are the same as "PyTorch tuned".
ONE_LAYER_LESS = {"PyTorch, memory kept", "PyTorch tuned, compiled"}


def kernels() -> Iterator[Race]:
    """Yield the races of one layer: forward, and its gradients."""
    for layer, (C, K, k, size) in LAYERS.items():
        for kind, N, H, W in (
            ("one sub-image", 1, size, size),
            ("128 sub-images", 128, size, size),
            ("512 x 768", 1, 512, 768),
        ):
            others = SLOW if kind == "one sub-image" else set(YARDSTICKS) - ONE_LAYER_LESS
            names = OWN | ONE_LAYER_MORE | others
            for what in ("forward", "dx", "dw", "dx and dw"):
                if C > 1 or "dx" not in what:  # nobody needs the picture's gradient
                    task = Layer(what, N, C, H, W, K, k)
                    yield f"{layer}, {kind}, {what}", _entries(task, names)


def network() -> Iterator[Race]:
    """Yield the races of whole pictures, and of training steps."""
    everyone = {*OURS, *OWN, *YARDSTICKS}
    for name in NETWORKS:
        paper = name in ("9-1-5", "9-3-5", "9-5-5")
        for size, (H, W) in SIZES.items():
            names = everyone
            if size == "4K":  # all are in memory at once; each PyTorch keeps its maps, 5 to 9 GB
                names = names - {
                    "PyTorch as installed",
                    "PyTorch, memory kept",
                    "PyTorch tuned",
                    *OWN,
                }
            if paper or (size == "512 x 768" and name != FSRCNN):
                yield f"inference, {name}, {size}", _entries(Inference(name, H, W), names)
    to = {"513 x 768": Inference(FSRCNN, 171, 256), "1080p": Inference(FSRCNN, 360, 640)}
    for size, task in to.items():
        yield f"inference, {FSRCNN}, to {size}", _entries(task, everyone | {"OpenCV"})
        tasks = {FSRCNN: task, "9-5-5": Inference("9-5-5", 3 * task.H, 3 * task.W)}
        yield (
            f"{PAIR}, to {size}",
            [Entry(name, "srcnn_np", each) for name, each in tasks.items()],
        )
    for name in NETWORKS:
        if name != "9-3-5":
            task = TrainingStep(name, 16, 32) if name == FSRCNN else TrainingStep(name)
            title = f"training step, {name}, {task.N} x {task.side} x {task.side}"
            yield title, _entries(task, everyone)


def scaling() -> Iterator[Race]:
    """Yield the races at other sizes, and with fewer threads."""
    for structure in ("9-1-5", "9-5-5"):
        yield (
            f"cost with size, {structure}",
            [
                Entry(size, "srcnn_np", Inference(structure, H, W))
                for size, (H, W) in list(SIZES.items())[1:]
            ],
        )
        if THREADS == 1:
            continue
        tasks = {"512 x 768": Inference(structure, 512, 768), "step": TrainingStep(structure)}
        for kind, task in tasks.items():
            entries = [
                Entry(f"{name}, {n} threads".replace(" 1 threads", " 1 thread"), contestant, task)
                for name in ("srcnn_np", "PyTorch tuned")
                for n, contestant in ((THREADS, name), (1, f"{name}, 1 thread"))
            ]
            yield f"cost with threads, {structure}, {kind}", entries


def _entries(task: Task, names: set[str]) -> list[Entry]:
    return [Entry(name, name, task) for name in CONTESTANTS if name in names]
