"""Files of a trained model: bundle, model card, samples, and the archive that TorchServe runs."""
