"""Where runs and versions go: a port, and MLflow behind it. Nothing else in training imports mlflow."""
