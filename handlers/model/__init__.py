"""A trained model and its files.

`bundle` reads and writes a model as a folder. The networks are `decoder` (CVAE) and `generator` (LC-GAN), the tables
`vocabulary`, `genres`, `topics` (LDA inference), `copies` and `phrases` (n-grams of the training text, which
`ngram_hashes` makes). `discriminator` tells real sentences from samples. `scoring` gives the likelihood of known
sentences.
"""
