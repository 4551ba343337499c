"""SQLite: the store, the queue, the outbox, the curators' desk."""
