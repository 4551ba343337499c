"""A trained model and its files.

`bundle` reads and writes a model as a folder. The networks are `decoder` (CVAE) and `generator` (LC-GAN), the tables
`vocabulary`, `genres`, `topics` (LDA inference) and `copies` (n-grams of the training text). `scoring` gives the
likelihood of known sentences.
"""
