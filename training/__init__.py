"""Training, from posts to registered model versions: corpus, topics, CVAE, LC-GAN, tracking and archives."""
