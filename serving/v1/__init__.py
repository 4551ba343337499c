"""Generated stubs of the gateway's typed service, `deephypebot.v1.Commentary`; `make protos` writes them."""
