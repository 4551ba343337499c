"""Tracking of runs and model versions: a port and its MLflow adapter. Nothing else in training imports mlflow."""
