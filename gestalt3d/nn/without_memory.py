"""Networks without memory of their own, on torch's "meta" device: to look at what a file claims before believing it."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode


class NothingDrawn(TorchFunctionMode):
    """Leaves tensors without memory as they are where they would be filled with initial values.

    There torch asks its compiler what these would be like, whose import takes longer than all the rest of loading.
    """

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: object,
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        given = {} if kwargs is None else kwargs
        fills = func is Tensor.normal_ or getattr(func, "__module__", None) == nn.init.__name__
        filled = args[0] if args else given.get("tensor")
        if fills and isinstance(filled, Tensor) and filled.is_meta:
            return filled
        return func(*args, **given)
