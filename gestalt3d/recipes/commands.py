"""The commands that make weights from nothing."""

ROOT = "--root DIR"
"""Of data that is not synthetic."""


def training(name: str, *options: str, init: tuple[str, ...] = (), out: str = "") -> str:
    """The command of one training; `init` are names of earlier runs, or of shipped models with a colon before them."""
    weights = [run[1:] if run.startswith(":") else f"runs/{run}/last.safetensors" for run in init]
    words = [*options, *(["--init", *weights] if init else [])]
    return " ".join(["gestalt3d train", name, *words, f"--out runs/{out or name}"])
