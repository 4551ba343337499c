"""Security of the gateway's doors: certificates, clients with tokens, and what each of them may hold at once."""
