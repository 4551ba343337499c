"""Triton kernels: what runs on the GPU itself."""
