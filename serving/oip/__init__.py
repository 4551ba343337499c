"""The Open Inference Protocol (KServe's v2) on the gateway's gRPC port, for clients that know it already."""
