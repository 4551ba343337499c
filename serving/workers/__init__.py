"""Worker hosts: what serving needs of whatever runs the workers (`host`), and the batches that it sends them."""
