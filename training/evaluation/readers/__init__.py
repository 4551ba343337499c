"""Blind readings of sentences: sheets for readers, their ratings, and the figures that agree with them."""
