"""TorchServe as a child process: start, supervision, management and guard."""
