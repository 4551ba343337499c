"""Topics of sentences: their number, the desired one, and a page to explore them."""
