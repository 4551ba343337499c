"""Serving: TorchServe, registry sync, versions, gateway and client."""
