"""The decode: sequences in, sentences out."""
