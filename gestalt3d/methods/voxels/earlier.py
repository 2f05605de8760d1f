"""Settings and tensors as earlier versions wrote them, of methods on labelled voxels and of their semantic stage."""

from typing import Any

from gestalt3d.methods.method import Migrated

_NOISE = {"doubt": "deviation", "doubt_balls": "balls", "doubt_radius": "radius"}


def of_unet(config: dict[str, Any]) -> Migrated:
    """`turns` were `views`."""
    return Migrated("unet", {"turns" if name == "views" else name: value for name, value in config.items()})


def of_mtml(config: dict[str, Any]) -> Migrated:
    """`turns` were `views`, `random_turns` were `turns`, the noise was flat and called doubt.

    A semantic stage was a setting of MTML, beside whose tensors its own lay: that network is a `Staged` one.
    """
    own = {name: value for name, value in config.items() if name not in _NOISE and name != "semantics"}
    if isinstance(own.get("turns"), bool):
        own["random_turns"] = own.pop("turns")
    if "views" in own:
        own["turns"] = own.pop("views")
    if noise := {now: config[then] for then, now in _NOISE.items() if then in config}:
        own["semantic_noise"] = noise
    semantics = config.get("semantics")
    if semantics is None:
        return Migrated("mtml", own)
    if isinstance(semantics, dict):
        semantics = of_unet(semantics).config
    return Migrated("staged", {"semantics": semantics, "parter": {"kind": "mtml", **own}}, _in_stages)


def _in_stages(name: str) -> str:
    return name if name.startswith("semantics.") else f"parter.{name}"
