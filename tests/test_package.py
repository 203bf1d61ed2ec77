"""The package as others see it: its names, its types, and what shells complete."""

import os
import subprocess
import sys
from pathlib import Path

import srcnn_np

ROOT = Path(__file__).parent.parent


def test_the_public_names_are_seen():
    assert {"SRCNN", "upscale", "train", "Muon", "__version__"} <= set(dir(srcnn_np))
    assert not [name for name in dir(srcnn_np) if name.startswith("_") and name[:2] != "__"]
    for name in dir(srcnn_np):
        assert getattr(srcnn_np, name) is not None


def test_checkers_of_types_see_classes(tmp_path):
    (tmp_path / "reader.py").write_text(
        "import srcnn_np\n"
        "from srcnn_np import SRCNN, Recipe\n"
        "reveal_type(SRCNN('9-1-5'))\n"
        "reveal_type(srcnn_np.load_model('9-1-5-x3'))\n"
        "Recipe(epochs='many')\n"
    )
    words = [sys.executable, "-m", "mypy", "--follow-imports=silent", "reader.py"]
    # mypy does not follow the links of an editable install; .ci/run tries the wheel.
    where = os.environ | {"MYPYPATH": str(ROOT)}
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, env=where)
    assert 'Revealed type is "srcnn_np.network.SRCNN"' in done.stdout, done.stdout + done.stderr
    assert 'Revealed type is "srcnn_np.model.Model"' in done.stdout
    assert '"epochs" to "Recipe" has incompatible type "str"' in done.stdout
    assert "Found 1 error" in done.stdout


def test_shells_complete_commands_and_options(tmp_path):
    found = tmp_path / "found"

    def completed(line):
        asked = {"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line))}
        asked |= {"_ARGCOMPLETE_STDOUT_FILENAME": str(found), "PYTHONPATH": str(ROOT)}
        subprocess.run([sys.executable, "-m", "srcnn_np"], env=asked, check=True)
        return found.read_text().split("\v")

    assert any(word.startswith("upscale") for word in completed("srcnn-np ups"))
    assert any(word.startswith("--skip") for word in completed("srcnn-np upscale --sk"))
