"""Verdicts of curators as training data: a value function of sentences, and its reward in the LC-GAN."""
