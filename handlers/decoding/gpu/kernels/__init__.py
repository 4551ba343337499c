"""Triton kernels of a step (`products`, `choice`, `random_numbers`), and the `layout` of the arrays that they share."""
