"""Helpers of all packages, on the standard library alone.

The name says the place: all packages stand on it, and it stands on none. It is packed into every archive beside
`handlers`, and is not called `common` or `utils` because it must not shadow a module of an application that loads a
registered model.
"""
