"""The decode on a GPU: a few Triton kernels per step, recorded for many steps, with no answer of the host in between.

Imported where it is used and nowhere else: Triton comes with PyTorch for CUDA, not with that for CPUs.
"""
