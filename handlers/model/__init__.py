"""The model that a bundle holds: networks, vocabulary, genres, topics."""
