"""The ports made real with what is at hand locally: files, SQLite, and the gateway's client."""
