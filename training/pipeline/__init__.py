"""Pipeline of training stages, which are tracked, resumed, reused and published."""
