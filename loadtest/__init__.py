"""Load tests of the gateway with locust: users, shapes and reports."""
