"""Traffic: the live versions, and the policy by which requests are dealt out to them."""
