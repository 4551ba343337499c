"""A trained model as files: bundle, model card, samples, and the archive that TorchServe runs."""
