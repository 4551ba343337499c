"""Parts of a TorchServe worker around the answers: `options` and threads, `warmup`, `metrics`, `description`."""
