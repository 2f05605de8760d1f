"""Weight files and checkpoints: one safetensors file whose metadata rebuild the model, written atomically.

A *weight file* holds the tensors of a method; its metadata name method, config, vocabulary and version. A
*checkpoint* is a weight file with the optimiser's state and the step beside it, so that a killed training
continues bit for bit.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

import gestalt3d
from gestalt3d import plugins
from gestalt3d.configs import Json, from_plain, to_plain
from gestalt3d.errors import UserError
from gestalt3d.io.atomic import atomic_path
from gestalt3d.methods import config_class, is_known, method_class, names
from gestalt3d.methods.method import AnyMethod, Migrated, Network
from gestalt3d.methods.untrained import UNTRAINED, VOCABULARY
from gestalt3d.nn.without_memory import NothingDrawn
from gestalt3d.structures.vocabulary import Vocabulary

SUFFIX = ".safetensors"
PREFIXES = ("ema.", "model.")
"""What the names of a checkpoint's weights begin with, the averaged ones first."""
IDENTITY = ("format", "version", "method", "config", "vocabulary")
"""What of a file's metadata says which network it holds."""


@dataclass(frozen=True)
class Stored:
    """A weight file as it lies on disk."""

    path: Path
    tensors: dict[str, Tensor]
    about: dict[str, Json]
    renamed: bool = False
    """Whether an earlier version wrote it, in which the tensors had other names."""


@dataclass(frozen=True)
class Words:
    """A vocabulary, as it stands in the metadata."""

    title: str
    names: tuple[str, ...]
    official_ids: tuple[int, ...]
    structure: tuple[str, ...]


def describe(method: Network, extra: Mapping[str, Json] | None = None) -> dict[str, Json]:
    """Metadata from which `build` makes an untrained twin of `method`."""
    own = method.vocabulary
    words = Words(own.title, own.names, own.official_ids, tuple(sorted(own.structure)))
    return {
        "format": "gestalt3d",
        "version": gestalt3d.__version__,
        "method": method.name,
        "config": to_plain(method.config),
        "vocabulary": to_plain(words),
        **(extra or {}),
    }


def build(about: Mapping[str, Json], where: str) -> Network:
    """An untrained method from metadata."""
    name = about.get("method")
    if about.get("format") != "gestalt3d" or not isinstance(name, str) or not is_known(name):
        raise UserError(f"{where}: not a weight file of gestalt3d; known methods are {', '.join(names())}")
    cls = method_class(name)
    vocabulary = vocabulary_of(about, where)
    config = from_plain(config_class(name), about.get("config"), f"{where}: config")
    try:
        made = cls.from_config(config, vocabulary)
    except UserError:
        raise
    except (ValueError, RuntimeError, OverflowError, MemoryError) as problem:
        raise UserError(f"{where}: its settings make no method ({_first_line(problem)})") from None
    if not isinstance(made, Network):
        raise UserError(f"{where}: names the method {name!r}, which has no weights")
    return made


def vocabulary_of(about: Mapping[str, Json], where: str) -> Vocabulary:
    """The classes that metadata name."""
    words = from_plain(Words, about.get("vocabulary"), f"{where}: vocabulary")
    if not words.names:
        raise UserError(f"{where}: its vocabulary names no class, so nothing was learnt")
    try:
        return Vocabulary(words.title, words.names, words.official_ids, frozenset(words.structure))
    except ValueError as problem:
        raise UserError(f"{where}: its vocabulary cannot be read ({problem})") from None


def _first_line(problem: BaseException) -> str:
    return (str(problem).splitlines() or [type(problem).__name__])[0]


def save(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Json]) -> None:
    """Write one safetensors file; a reader never sees half of it."""
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    with atomic_path(path) as temporary:
        # `save_file` would leave a file that only its owner can read.
        temporary.write_bytes(to_bytes(plain, metadata={"gestalt3d": json.dumps(about)}))


def method_in(path: Path) -> str:
    """The name of the method of a weight file, which is not read any further."""
    with safe_open(path, framework="pt") as stored:
        about: Json = json.loads((stored.metadata() or {}).get("gestalt3d", "{}"))
    name = about.get("method") if isinstance(about, dict) else None
    return name if isinstance(name, str) else ""


def read(path: Path) -> Stored:
    """Tensors and metadata of a weight file, or a `UserError` that says what the file is instead."""
    if path.is_dir():
        raise UserError(f"{path}: is a folder; name the weight file in it, such as {path / f'last{SUFFIX}'}")
    try:
        with safe_open(path, framework="pt") as stored:
            about: Json = json.loads((stored.metadata() or {}).get("gestalt3d", "{}"))
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(
            f"{path}: no such weight file; name one, or a shipped model that has weights (`gestalt3d models`)"
        ) from None
    except OSError as problem:
        raise UserError(f"{path}: cannot be read ({problem.strerror or problem})") from None
    except (SafetensorError, ValueError) as problem:
        raise UserError(
            f"{path}: not a safetensors file ({problem}); pickled weights are never loaded"
        ) from None
    if not isinstance(about, dict):
        raise UserError(f"{path}: its metadata are not those of gestalt3d")
    return _migrated(Stored(path, tensors, about))


def _migrated(stored: Stored) -> Stored:
    """The file as if this version had written it."""
    method, config, recipe = (stored.about.get(name) for name in ("method", "config", "recipe"))
    if not (isinstance(method, str) and isinstance(config, dict)):
        return stored
    now = _now(method, config)
    about: dict[str, Json] = {**stored.about, "method": now.method, "config": now.config}
    if isinstance(recipe, dict):
        about["recipe"] = migrated_recipe(recipe)
    tensors = {_renamed(name, now.rename): value for name, value in stored.tensors.items()}
    return Stored(stored.path, tensors, about, renamed=tensors.keys() != stored.tensors.keys())


def _now(method: str, config: dict[str, Json]) -> Migrated:
    """The network of that name and plain configuration in the words of this version."""
    cls = method_class(method) if is_known(method) else None
    return cls.migrated(config) if cls is not None and issubclass(cls, Network) else Migrated(method, config)


def _renamed(name: str, rename: Callable[[str], str]) -> str:
    prefix = next((part for part in PREFIXES if name.startswith(part)), "")
    return name if name.startswith("optim.") else prefix + rename(name[len(prefix) :])


def migrated_recipe(plain: dict[str, Json]) -> dict[str, Json]:
    """A stored recipe as if this version had written it."""
    method, model = plain.get("method"), plain.get("model")
    if not (isinstance(method, str) and isinstance(model, dict)):
        return plain
    now = _now(method, model)
    return {**plain, "method": now.method, "model": now.config}


def load_into(method: nn.Module, stored: Stored, *, prefix: str = "", partial: bool = False) -> list[str]:
    """Copy tensors into `method`. With `partial`, those of another shape stay and are returned by name."""
    given = _given(stored, prefix)
    differing = _differing(method, given) if partial else _fit(method, stored, prefix)
    own = method.state_dict()
    method.load_state_dict({n: v for n, v in given.items() if n in own and n not in differing}, strict=False)
    return differing


def _given(stored: Stored, prefix: str) -> dict[str, Tensor]:
    return {name[len(prefix) :]: value for name, value in stored.tensors.items() if name.startswith(prefix)}


def _differing(method: nn.Module, given: dict[str, Tensor]) -> list[str]:
    """Tensors of the method that are not given, or in another shape."""
    return [n for n, own in method.state_dict().items() if n not in given or given[n].shape != own.shape]


def _fit(method: nn.Module, stored: Stored, prefix: str) -> list[str]:
    """Nothing differs, or a `UserError` says that something does."""
    if differing := _differing(method, _given(stored, prefix)):
        raise UserError(
            f"{stored.path}: does not fit the method {stored.about.get('method')!r} it names"
            f" ({len(differing)} tensors differ, first {differing[0]}); it is damaged or of another version"
        )
    return []


def shipped() -> dict[str, Path]:
    """Name → file of every weight file in the package."""
    folder = Path(str(resources.files("gestalt3d") / "weights"))
    return {file.stem: file for file in sorted(folder.glob(f"*{SUFFIX}"))}


def load(name_or_path: str | Path, *, device: str = "cpu") -> AnyMethod:
    """A method in eval mode: a shipped name, a weight or checkpoint file, or one that needs no training."""
    name, target = str(name_or_path), usable_device(device)
    if name in UNTRAINED:
        untrained = UNTRAINED[name]
        return untrained.make({needed: load(needed, device=device) for needed in untrained.needs})
    known = shipped()
    path = known.get(name, Path(name_or_path))
    if name not in known and not path.exists():
        if name in plugins.announced():
            return _from_a_package(name)
        raise UserError(
            f"{name}: neither a shipped model nor a file; shipped are {', '.join([*known, *UNTRAINED])}"
            + ("" if path.suffix == SUFFIX else f" (a weight file ends in {SUFFIX})")
        )
    return standing(load_network(path).to(target), device)


def standing(method: Network, device: str) -> Network:
    """The network on the shipped models that it needs; `UserError` for any other: a file may name what it likes."""
    if unknown := [name for name in method.needs if name not in shipped()]:
        raise UserError(f"the method {method.name} needs {unknown[0]}, which is no shipped model")
    if method.needs:
        method.stand_on({name: load(name, device=device) for name in method.needs})
    return method


def load_network(path: Path) -> Network:
    """The network of a weight or checkpoint file, on the CPU and in eval mode."""
    stored = read(path)
    # First without memory of its own: the file's metadata may claim layers of any size. Tensors that a module makes when
    # it is imported would stay without memory for good, so the import comes before.
    if is_known(name := stored.about.get("method")):
        method_class(name)
    with torch.device("meta"), NothingDrawn():
        _fit(build(stored.about, str(path)), stored, prefix_of(stored))
    method = build(stored.about, str(path))
    load_into(method, stored, prefix=prefix_of(stored))
    if broken := [
        n for n, v in method.state_dict().items() if v.is_floating_point() and not bool(v.isfinite().all())
    ]:
        raise UserError(
            f"{path}: {broken[0]} holds values that are not finite; its training diverged, take another file"
        )
    return method.eval()


def _from_a_package(name: str) -> AnyMethod:
    """The announced method with its defaults, where it has nothing to learn."""
    cls = method_class(name)
    if issubclass(cls, Network):
        recipes = plugins.recipes(name)
        how = (
            f"train it: gestalt3d train {recipes[0]}, and name the weight file that comes out"
            if recipes
            else "name a weight file of it; its package has no recipe"
        )
        raise UserError(f"{name}: was never trained; {how}")
    try:
        made = cls.from_config(config_class(name)(), VOCABULARY)
    except UserError:
        raise
    except Exception as problem:  # whatever a package does
        cause = f"{type(problem).__name__}: {_first_line(problem)}"
        raise UserError(f"{name}: cannot be made with its defaults ({cause}); mend or uninstall it") from None
    if lacking := [attribute for attribute in ("config", "vocabulary") if not hasattr(made, attribute)]:
        raise UserError(f"{name}: has no {' and no '.join(lacking)} when it is made; mend or uninstall it")
    return made


def prefix_of(stored: Stored) -> str:
    """Prefix of the weights to use: a checkpoint has averaged ones, or the model's own."""
    for prefix in PREFIXES:
        if any(name.startswith(prefix) for name in stored.tensors):
            return prefix
    return ""


def weights_of(stored: Stored) -> dict[str, Tensor]:
    """The tensors of the network that `load` would make."""
    return _given(stored, prefix_of(stored))


def export_weights(checkpoint: Path, out: Path, card: Mapping[str, Json], *, half: bool = False) -> None:
    """The weights of a checkpoint without the training state, with a model card beside them.

    With `half` matrices are kept in float16, half as large: `UserError` where one holds values that are too large for it. What is
    one number per channel, such as the statistics of batch norm, stays as it is.
    """
    stored = read(checkpoint)
    tensors = weights_of(stored)
    if half:
        tensors = {name: _halved(name, value, checkpoint) for name, value in tensors.items()}
    save(out, tensors, {k: stored.about[k] for k in (*IDENTITY, "origin") if k in stored.about})
    with atomic_path(out.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


def _halved(name: str, value: Tensor, file: Path) -> Tensor:
    if value.dtype != torch.float32 or value.ndim < 2:
        return value
    halved = value.half()
    if not bool(halved.isfinite().all()):
        raise UserError(f"{file}: {name} holds values beyond those of float16; export it without half")
    return halved


def usable_device(wanted: str) -> torch.device:
    """The device of that name, or a `UserError` where there is none; "auto" takes CUDA where it can."""
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError:
        raise UserError(f"--device {wanted}: no such device; use cpu, cuda, cuda:0 or auto") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError(
            f"--device {wanted}: torch sees no CUDA device here; use --device cpu or install a GPU driver"
        )
    return device
