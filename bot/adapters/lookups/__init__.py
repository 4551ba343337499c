"""Song and genre lookups: Spotify, Last.fm, MusicBrainz, a catalog file, genre lists."""
