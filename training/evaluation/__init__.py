"""Quality report: metrics of generated and of held-out real text, each with its interval."""
