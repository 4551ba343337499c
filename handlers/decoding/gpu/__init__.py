"""Decode on a GPU: four Triton kernels per step, recorded as a CUDA graph of several steps.

`decoder` admits sequences to slots and reads the ended ones, `memory` holds the slots, `tables` the constraints of the
vocabulary, `steps` launches or replays the `kernels`. Only `capability` can be imported without Triton, which comes
with PyTorch for CUDA and not with that for CPUs; the engine imports the rest when it needs it.
"""
