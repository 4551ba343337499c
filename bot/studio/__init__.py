"""The curator's page: a small web server on loopback, rendered on the server, that works without the internet."""
