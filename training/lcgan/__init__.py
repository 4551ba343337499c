"""LC-GAN: labels latent vectors by decoding them, and trains a generator that shifts them towards a topic."""
