"""GPU kernels, imported only when a CUDA tensor arrives (Triton exists on Linux only)."""
