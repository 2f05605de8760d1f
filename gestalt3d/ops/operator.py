"""Operators of `torch.library`: a definition in plain PyTorch, kernels for devices, shapes for the compiler, gradients.

As `torch.library.custom_op`, but without its import of all of torch's compiler at the first call, which takes more than a
second and about 200 MB of every process. Unlike there, nothing checks that a kernel returns no input of its own, and a name
can be given once only.
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
        self._backward: Callable[..., Any] | None = None
        self._setup_context: Callable[..., Any] | None = None
        torch.library.register_autograd(name, self._differentiate, setup_context=self._remember)
        self.overload: torch._ops.OpOverload = getattr(getattr(torch.ops, space), short).default

    def __call__(self, *args: Any) -> Any:
        return self.overload(*args)

    def register_kernel(
        self, device: str, *, halves: bool = False
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Decorates what computes the operator on "cpu" or "cuda".

        Without `halves`, 16-bit floats are refused with the way out: neither NumPy nor Numba computes with both kinds.
        """

        def register(kernel: Callable[..., Any]) -> Callable[..., Any]:
            def checked(*args: Any) -> Any:
                self._check_wide(device, args)
                return kernel(*args)

            torch.library.impl(self.name, device, kernel if halves else checked)
            return kernel

        return register

    def _check_wide(self, device: str, args: tuple[Any, ...]) -> None:
        for value in args:
            if isinstance(value, torch.Tensor) and value.dtype in (torch.float16, torch.bfloat16):
                name = self.name.removeprefix("gestalt3d::")
                raise ValueError(
                    f"{name} takes float32 or float64 on {device}, got {str(value.dtype).removeprefix('torch.')}; "
                    "call .float() on the tensor first"
                )

    def register_fake(self, shapes: Callable[..., Any]) -> Callable[..., Any]:
        """Decorates what makes outputs of the right shape and type without computing them."""
        return torch.library.register_fake(self.name, shapes)

    def register_autograd(self, backward: Callable[..., Any], *, setup_context: Callable[..., Any]) -> None:
        """The gradient, as `torch.library.register_autograd` takes it; without one, to ask for it is an error."""
        self._backward, self._setup_context = backward, setup_context

    def _differentiate(self, ctx: Any, *grads: Any) -> Any:
        if self._backward is None:
            raise RuntimeError(f"{self.name} has no gradient")
        return self._backward(ctx, *grads)

    def _remember(self, ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        if self._setup_context is not None:
            self._setup_context(ctx=ctx, inputs=inputs, output=output)
