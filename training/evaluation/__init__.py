"""The quality report: metrics of generated text beside held-out real text, each with its interval."""
