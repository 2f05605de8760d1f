"""Frozen containers that flow between the layers. Import them from their own files, or from `gestalt3d`.

`vocabulary` needs NumPy only; the others hold torch tensors. This file imports neither, so that `gestalt3d score` starts
without torch.
"""
