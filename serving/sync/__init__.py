"""From the registry to live versions."""
