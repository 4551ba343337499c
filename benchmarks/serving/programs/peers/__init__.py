"""The same engine behind other servers, each written as its documentation advises."""
