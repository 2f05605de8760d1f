"""Networks without memory of their own, on torch's "meta" device: to look at what a file claims before believing it."""

from collections.abc import Callable

from torch import Tensor
from torch.overrides import TorchFunctionMode


class NothingDrawn(TorchFunctionMode):
    """Leaves tensors without memory as they are where they would be filled with normal numbers.

    There torch asks its compiler what these would be like, whose import takes longer than all the rest of loading.
    """

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: object,
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        if func is Tensor.normal_ and isinstance(args[0], Tensor) and args[0].is_meta:
            return args[0]
        return func(*args, **(kwargs or {}))
