"""Statistics that may be looked at after every observation: confidence sequences, e-processes, checks of shares.

Pure functions of numbers; nothing here knows what an experiment is.
"""
