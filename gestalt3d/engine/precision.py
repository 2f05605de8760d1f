"""Which numbers a training computes in: those that its recipe asks for, where the processor multiplies them itself.

A CPU without instructions for bfloat16 can compute in it, but a matrix product then takes ten to forty times as long as in
float32 (measured on an AVX2 machine), which is worse than the whole gain of half precision elsewhere.
"""

import torch

from gestalt3d.engine.recipe import Precision


def usable_precision(asked: Precision, device: torch.device) -> tuple[Precision, str]:
    """What to compute in on `device`, and a line that says why it is not what was asked for, empty where it is."""
    if asked == "no" or device.type != "cpu" or (asked == "bf16" and cpu_multiplies_bfloat16()):
        return asked, ""
    why = f"precision {asked} is slow on this CPU, which can only imitate it; training in 32 bits instead"
    return "no", why


def cpu_multiplies_bfloat16() -> bool:
    """Whether PyTorch's library for matrix products has kernels for bfloat16 on this CPU, AVX-512 or better."""
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return bool(torch.backends.mkldnn.is_available() and supported is not None and supported())
