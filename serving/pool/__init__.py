"""Pool of our own worker processes as a worker host: no Java, no port but that of the metrics."""
