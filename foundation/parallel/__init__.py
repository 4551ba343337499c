"""Work that is spread over processes: a port, and its adapters for this machine and for a Ray cluster."""
