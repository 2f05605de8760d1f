"""One paper, one file. Names resolve lazily, so that naming a method does not import torch.

A method's module holds its configuration and, as `METHOD`, its class; so do those of methods from elsewhere (`plugins`).
"""

import typing
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeGuard

from gestalt3d import plugins
from gestalt3d.errors import UserError
from gestalt3d.lazy import imported

if TYPE_CHECKING:
    from gestalt3d.configs import Config
    from gestalt3d.methods.method import AnyMethod

METHODS: dict[str, str] = {
    "asis": "gestalt3d.methods.asis",
    "sgpn": "gestalt3d.methods.sgpn",
    "mtml": "gestalt3d.methods.mtml",
    "gspn": "gestalt3d.methods.gspn",
    "rpointnet": "gestalt3d.methods.rpointnet",
    "pointnet2": "gestalt3d.methods.pointnet2",
    "unet": "gestalt3d.methods.unet",
    "staged": "gestalt3d.methods.staged",
    "components": "gestalt3d.methods.components",
    "geometric": "gestalt3d.methods.geometric",
    "dss": "gestalt3d.methods.dss",
    "a3is": "gestalt3d.methods.a3is",
    "a3d": "gestalt3d.methods.a3d",
    "mask-rcnn": "gestalt3d.methods.mask_rcnn",
    "pcnet": "gestalt3d.methods.pcnet",
    "plain-masks": "gestalt3d.methods.plain_masks",
    "consensus": "gestalt3d.methods.consensus",
    "judge": "gestalt3d.methods.judge",
}
"""Name of a method of ours → its module."""


def is_known(name: object) -> TypeGuard[str]:
    """Whether there is a method of that name, here or announced by a package."""
    return isinstance(name, str) and (name in METHODS or name in plugins.announced())


def names() -> list[str]:
    """All methods, those that packages announce last."""
    return list(dict.fromkeys([*METHODS, *plugins.announced()]))


def module_of(name: str) -> ModuleType:
    """The module of a method; `UserError` for a name that there is not."""
    if name in METHODS:
        return imported(METHODS[name])
    if name not in plugins.announced():
        raise UserError(f"no method {name!r}; there are {', '.join(names())}")
    return plugins.module(name)


def method_class(name: str) -> "type[AnyMethod]":
    """The class of a method."""
    return module_of(name).METHOD


def config_class(name: str) -> type[Any]:
    """The dataclass that configures a method."""
    return typing.get_type_hints(method_class(name))["config"]


def method_of(config: "Config") -> "type[AnyMethod]":
    """The class that a configuration is one of: they stand in one module."""
    return imported(f"{type(config).__module__}:METHOD")
