"""The same engine behind other servers, each written as the server's documentation advises."""
