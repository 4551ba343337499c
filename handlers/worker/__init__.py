"""The worker around the decode: options, warm-up, metrics, description."""
