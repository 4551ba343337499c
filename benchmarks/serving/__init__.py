"""The serving benchmark: the engine alone, behind TorchServe, and behind other servers, measured in one run.

Engine, servers and load generators are processes of their own (`programs`), so that this package needs no torch.
"""
