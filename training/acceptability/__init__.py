"""Training of the discriminator that tells real sentences from a model's own samples."""
