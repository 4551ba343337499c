"""The studio: the curators' web pages, served on loopback, rendered on the server, usable without the internet."""
