"""CVAE: batches of sentences, the model, its loss, training in one or several processes, and held-out scores."""
