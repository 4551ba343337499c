"""From a feed of tweets to a queue of candidates that a curator decides on; light enough to run anywhere."""
