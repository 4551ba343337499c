"""From the model registry to live traffic: TorchServe, registry sync, versions, gateway and client."""
