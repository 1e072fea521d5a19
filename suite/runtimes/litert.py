"""LiteRT on the CPU (TensorFlow Lite's successor, for phones and boards), float32; batch 1, padded to fixed lengths.

Its exporter cannot be installed beside us: it wants an older typing-extensions than our pydantic does. So it has an
environment of its own, which sees our packages (torch above all, so that it exports with the very same one).
``python -m suite.runtimes.litert`` makes it, once; ``LIGHTBOARD_LITERT_PYTHON`` names the interpreter of another.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from suite.errors import UserError
from suite.paths import store_root
from suite.runtimes import Run, _padded

PRECISION = "fp32"
SHAPES = "padded"  # every query to the next of LENGTHS; the padding's time is part of the query's
EXPORT_VERSION = 1
CARRIED = _padded  # goes with the model wherever it is handed out
LINES = """\
import padded
def load(file):
    run = padded.load(file, os.cpu_count())
    return lambda given: [run(*given.values())]
"""

LENGTHS = (16, 32, 64, 128, 256, 512)
EXPORTER = "litert-torch==0.10.0"
VARIABLE = "LIGHTBOARD_LITERT_PYTHON"


def available() -> str | None:
    if not find_spec("ai_edge_litert"):
        return "not installed; pip install 'lightboard[litert]'"
    if not _interpreter().is_file():
        return f"no exporter; python -m suite.runtimes.litert makes it, or name its interpreter in {VARIABLE}"
    return None


def describe() -> dict[str, str]:
    from importlib.metadata import version

    return {**{name: version(name) for name in ("ai-edge-litert", "torch")}, "litert-torch": _exporter()}


def _interpreter() -> Path:
    given = os.environ.get(VARIABLE)
    return Path(given).expanduser() if given else _environment() / "bin" / "python"


def _environment() -> Path:
    return store_root().parent / "lightboard-litert"


@cache
def _exporter() -> str:
    """The exporter's version, of which its environment is asked."""
    return _ask("-c", "from importlib.metadata import version; print(version('litert-torch'))").strip()


def _ask(*arguments: str) -> str:
    """What the exporter's interpreter prints; UserError with the last thing it said when it fails."""
    package = str(Path(__file__).resolve().parents[2])
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(
        [str(_interpreter()), *arguments], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise UserError(f"runtime litert: {said[-1][:300] if said else 'its exporter died silently'}", code=1)
    return done.stdout


def export(model_folder: Path, out: Path) -> Path:
    """``out/model.tflite``: a signature per length, up to the model's positions, which share the weights."""
    from suite import models

    longest = min(LENGTHS[-1], int(models.read_config(model_folder).get("positions", LENGTHS[-1])))
    lengths = [*(length for length in LENGTHS if length < longest), longest]
    file = out / "model.tflite"
    _ask("-m", "suite.runtimes._litert_export", str(model_folder), str(file), *map(str, lengths))
    return file


def prepare(model_file: Path, threads: int) -> Run:
    """Load the file; a batch is answered one example at a time, each padded to the next length there is."""
    return _padded.load(str(model_file), threads)


def make(folder: Path) -> None:
    """The exporter's environment: its own packages before ours."""
    import venv

    venv.create(folder, with_pip=True, clear=True)
    python = folder / "bin" / "python"
    asked = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    own = Path(subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip())
    ours = [path for path in sys.path if path.endswith("-packages")]  # of an environment over another: both
    (own / "lightboard.pth").write_text("\n".join(ours) + "\n", encoding="utf-8")
    subprocess.run([str(python), "-m", "pip", "install", EXPORTER], check=True)


if __name__ == "__main__":
    try:
        make(_environment())
    except subprocess.CalledProcessError as error:
        sys.exit(f"{_environment()}: pip ended with status {error.returncode}")
