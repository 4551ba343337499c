"""The gateway: gRPC service, health and metrics."""
