"""The model registry of the serving side."""
