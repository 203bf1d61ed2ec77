"""Which races there are: titles, and who takes part."""

from collections.abc import Iterator

from .contestants import CONTESTANTS, THREADS
from .race import Entry
from .tasks import Inference, Layer, Task, TrainingStep

Race = tuple[str, list[Entry]]

LAYERS = {  # C, K, k, and the size each sees of a 33 x 33
    "first layer, 1 -> 64, 9 x 9": (1, 64, 9, 33),
    "1 x 1, 64 -> 32": (64, 32, 1, 25),
    "3 x 3, 64 -> 32": (64, 32, 3, 25),
    "5 x 5, 64 -> 32": (64, 32, 5, 25),
    "last layer, 32 -> 1, 5 x 5": (32, 1, 5, 25),
}
SIZES = {
    "256 x 256": (256, 256),
    "512 x 768": (512, 768),
    "1080p": (1080, 1920),
    "4K": (2160, 3840),
}
SLOW = {"plain Python", "NumPy einsum", "scipy direct", "scipy FFT", "scipy overlap-add"}
OWN = {name for name in CONTESTANTS if name.startswith("srcnn_np, layers")}
YARDSTICKS = [
    name
    for name in CONTESTANTS
    if name.startswith(("PyTorch", "ONNX", "OpenVINO")) and not name.endswith("1 thread")
]
# On one layer these are no other than "PyTorch tuned".
ONE_LAYER_LESS = {"PyTorch, memory kept", "PyTorch tuned, compiled"}


def kernels() -> Iterator[Race]:
    """One layer at a time, forward and its gradients."""
    for layer, (C, K, k, size) in LAYERS.items():
        for kind, N, H, W in (
            ("one sub-image", 1, size, size),
            ("128 sub-images", 128, size, size),
            ("512 x 768", 1, 512, 768),
        ):
            names = OWN | (SLOW if kind == "one sub-image" else set(YARDSTICKS) - ONE_LAYER_LESS)
            for what in ("forward", "dx", "dw"):
                if C > 1 or what != "dx":  # nobody needs the picture's gradient
                    task = Layer(what, N, C, H, W, K, k)
                    yield f"{layer}, {kind}, {what}", _entries(task, names)


def network() -> Iterator[Race]:
    """Whole pictures, and training steps."""
    for structure in ("9-1-5", "9-3-5", "9-5-5"):
        ours = _ours(structure)
        for size, (H, W) in SIZES.items():
            names = {*ours, *OWN, *YARDSTICKS}
            if size == "4K":  # each PyTorch keeps its maps, 5 to 9 GB, and all are there at once
                names -= {"PyTorch as installed", "PyTorch, memory kept", "PyTorch tuned", *OWN}
            yield f"inference, {structure}, {size}", _entries(Inference(structure, H, W), names)
    for structure in ("9-1-5", "9-5-5"):
        names = {*_ours(structure), *OWN, *YARDSTICKS}
        task = TrainingStep(structure)
        yield f"training step, {structure}, 128 x 33 x 33", _entries(task, names)


def scaling() -> Iterator[Race]:
    """The same at other sizes, and by fewer threads."""
    for structure in ("9-1-5", "9-5-5"):
        yield (
            f"cost with size, {structure}",
            [Entry(size, "srcnn_np", Inference(structure, H, W)) for size, (H, W) in SIZES.items()],
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


def _ours(structure: str) -> set[str]:
    names = {"srcnn_np", "srcnn_np, no Winograd"}
    return names | ({"srcnn_np, Winograd first layer only"} if structure == "9-5-5" else set())


def _entries(task: Task, names: set[str]) -> list[Entry]:
    return [Entry(name, name, task) for name in CONTESTANTS if name in names]
