"""Adapters: the ports on real networks, services, SQLite and files. One package per network or kind of storage."""
