"""Programs that the serving benchmark starts: `python -m benchmarks.serving.programs.NAME SETTINGS`.

A server of `programs.peers` runs with the interpreter of the environment that its framework was installed in.
"""
