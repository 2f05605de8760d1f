"""Weights to start a training from: of the same method, and of the trained methods that it holds as parts."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from torch import nn

from gestalt3d.configs import from_plain, to_plain
from gestalt3d.engine import checkpoint
from gestalt3d.errors import UserError
from gestalt3d.methods import config_class
from gestalt3d.methods.method import Network

_MOST_NAMED = 6
"""Tensors that are named one by one."""


def initialise(method: Network, inits: Sequence[str]) -> str:
    """Take weights over from models or files, one after the other, and say how many tensors are theirs.

    Of the method's own kind, tensors that fit are taken; those of other shapes (classifiers of other classes) start anew.
    "NAME.PART" stands for a part alone, "NAME.semantics" for the semantic stage of a model that has one. A file of
    another method fills the part of `method` that is of that kind, or gives the part of its own that is of the method's kind.
    A part whose weights do not learn must be filled, whole and with the settings that it was trained with: `UserError` otherwise.
    """
    parts = _trained_parts(method)
    anew = dict.fromkeys(method.state_dict())
    for init in inits:
        stored = _stored(init, method.name)
        kind = stored.about.get("method")
        name = next((name for name, part in parts.items() if part.name == kind), None)
        if kind == method.name:
            taken = _of_its_own(method, stored, init)
        elif name is None:
            known = " or ".join(repr(m.name) for m in (method, *parts.values()))
            raise UserError(f"--init {init}: holds the method {kind!r}, this recipe takes {known}")
        elif _learns(parts[name]):
            taken = [f"{name}.{tensor}" for tensor in _of_its_own(parts[name], stored, init)]
        else:
            taken = [f"{name}.{tensor}" for tensor in _of_a_part(parts[name], stored, init, name)]
        anew = {name: None for name in anew if name not in set(taken)}
    for name, part in parts.items():
        if not _learns(part) and any(tensor.startswith(f"{name}.") for tensor in anew):
            raise UserError(
                f"this recipe uses {name} as they are, without training them; "
                f"name a trained {part.name!r} with --init, after other weights if there are any"
            )
    total = len(method.state_dict())
    rest = f"; anew: {_listed(list(anew))}" if anew else ""
    return f"{total - len(anew)} of {total} tensors are those of {' and '.join(inits)}{rest}"


def _listed(names: list[str]) -> str:
    """A few tensors by name, many by the parts that hold them: "semantics (97 tensors), mask_head (40 tensors)"."""
    if len(names) <= _MOST_NAMED:
        return ", ".join(names)
    count = Counter(name.partition(".")[0] for name in names)
    return ", ".join(f"{part} ({number} tensor{'s' if number > 1 else ''})" for part, number in count.items())


def _trained_parts(method: nn.Module) -> dict[str, Network]:
    return {name: part for name, part in method.named_children() if isinstance(part, Network)}


def _learns(part: nn.Module) -> bool:
    return any(weight.requires_grad for weight in part.parameters())


def _stored(init: str, kind: str) -> checkpoint.Stored:
    """What is stored under that name, or its part that is meant as if it had been stored alone: the one named after a dot, or, of
    another method, the one of this kind.
    """
    file, name = file_and_part(init)
    stored = checkpoint.read(file)
    if not name and stored.about.get("method") == kind:
        return stored
    whole = init.removesuffix(f".{name}") if name else init
    parts = _trained_parts(checkpoint.load_network(file))
    if not name:
        name = next((own for own, part in parts.items() if part.name == kind), "")
        if not name:
            return stored
    if name not in parts:
        has = f"its parts are {', '.join(parts)}" if parts else "it has no parts"
        raise UserError(f"--init {init}: {whole} has no part {name!r}; {has}")
    return checkpoint.Stored(file, parts[name].state_dict(), checkpoint.describe(parts[name]))


def file_and_part(init: str) -> tuple[Path, str]:
    """The weight file, which need not exist, and the part of it that is meant: "" for all of it."""
    known = checkpoint.shipped()
    whole, _, name = init.rpartition(".")
    file = known.get(whole, Path(whole))
    if init in known or Path(init).exists() or not (whole and file.is_file()):
        return known.get(init, Path(init)), ""
    return file, name


def _of_its_own(method: nn.Module, stored: checkpoint.Stored, init: str) -> list[str]:
    """Names of the tensors taken over, most of those that learn."""
    differing = set(checkpoint.load_into(method, stored, prefix=checkpoint.prefix_of(stored), partial=True))
    values = method.state_dict()
    names = list(values)
    fixed = tuple(f"{name}." for name, part in _trained_parts(method).items() if not _learns(part))
    own = [name for name in names if not name.startswith(fixed)]
    fitting = [name for name in own if name not in differing]
    fits, count = (sum(values[name].numel() for name in some) for some in (fitting, own))
    if fits < count / 2:
        raise UserError(
            f"--init {init}: only {len(fitting)} of the recipe's {len(own)} tensors fit, {fits:,} of {count:,} weights;"
            " it is another network"
        )
    return [name for name in names if name not in differing]


def _of_a_part(part: Network, stored: checkpoint.Stored, init: str, name: str) -> list[str]:
    """Names of all the part's tensors; `UserError` where the file's settings or classes are others."""
    if checkpoint.vocabulary_of(stored.about, init).names != part.vocabulary.names:
        raise UserError(
            f"--init {init}: knows other classes than this recipe; train it with the same --classes"
        )
    # Settings that the file is older than have their defaults.
    theirs = to_plain(from_plain(config_class(part.name), stored.about.get("config", {}), init))
    ours = to_plain(part.config)
    if changed := [field for field in ours if field not in part.not_trained and theirs[field] != ours[field]]:
        field = changed[0]
        raise UserError(
            f"--init {init}: its {field} is {theirs[field]}, this recipe's {ours[field]}; "
            f"set --model.{name}.{field.replace('_', '-')} {theirs[field]}"
        )
    checkpoint.load_into(part, stored, prefix=checkpoint.prefix_of(stored))
    return list(part.state_dict())
