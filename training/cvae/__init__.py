"""The conditional VAE: sentences as batches, the model, its loss, its training in one process or many, its scores."""
