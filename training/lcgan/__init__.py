"""The LC-GAN: thoughts labelled by what the decoder makes of them, and the game that learns to move them."""
