"""HTTP helpers that several networks share."""
