"""Tokens that a sequence may not write next.

`grammar` (special tokens, placeholders, quotes and brackets) and `word_repeats` (a word beside itself) hold for every
sequence. `token_constraints` adds the options of single ones: minimum length, bad words, and `ngrams`.
"""
