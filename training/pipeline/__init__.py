"""The training as stages, one after the other: tracked, resumed, reused, published."""
