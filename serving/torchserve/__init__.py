"""TorchServe as a child process: started, supervised, managed, never orphaned."""
