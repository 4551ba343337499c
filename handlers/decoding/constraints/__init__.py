"""Tokens that a sequence may not write next.

`grammar` (special tokens, placeholders, quotes and brackets) and `word_repeats` (a word beside itself) hold for every
sequence, `lexicon_words` and `name_repeats` for those of a model with a lexicon. `token_constraints` adds the options
of single ones: minimum length, bad words, and `ngrams`.
"""
