"""Sampling of tokens: filters and draws."""
