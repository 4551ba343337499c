"""What runs inside the TorchServe worker, and the wire contract that everything else shares.

The package is packed whole into every archive, so a model version carries the code it was built with. Importing it
imports nothing else: `handlers.contract` needs only the standard library, the rest needs torch, numpy and safetensors.
"""
