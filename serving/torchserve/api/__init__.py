"""The part of TorchServe's gRPC inference interface that the gateway speaks (its wheel ships no stubs)."""
