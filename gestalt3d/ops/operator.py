"""Operators of `torch.library`: a definition in plain PyTorch, kernels for devices, shapes for the compiler, gradients.

As `torch.library.custom_op`, but without its import of all of torch's compiler at the first call, which takes more than a
second and about 200 MB of every process.
"""

from collections.abc import Callable
from typing import Any

import torch


class Operator:
    """An operator `gestalt3d::…`, a pure function; `reference` serves all devices without a kernel of their own."""

    def __init__(self, name: str, reference: Callable[..., Any], *, schema: str) -> None:
        torch.library.define(name, schema, tags=(torch.Tag.pt2_compliant_tag,))
        torch.library.impl(name, "default", reference)
        space, _, short = name.partition("::")
        self.name = name
        self.overload: torch._ops.OpOverload = getattr(getattr(torch.ops, space), short).default

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.overload(*args, **kwargs)

    def register_kernel(self, device: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Decorates what computes the operator on "cpu" or "cuda"."""

        def register(kernel: Callable[..., Any]) -> Callable[..., Any]:
            torch.library.impl(self.name, device, kernel)
            return kernel

        return register

    def register_fake(self, shapes: Callable[..., Any]) -> Callable[..., Any]:
        """Decorates what makes outputs of the right shape and type without computing them."""
        return torch.library.register_fake(self.name)(shapes)

    def register_autograd(self, backward: Callable[..., Any], *, setup_context: Callable[..., Any]) -> None:
        """The gradient, as `torch.library.register_autograd` takes it."""
        torch.library.register_autograd(self.name, backward, setup_context=setup_context)
