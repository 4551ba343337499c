"""Topics of sentences: how many there are, which one is wanted, and a page to explore them."""
