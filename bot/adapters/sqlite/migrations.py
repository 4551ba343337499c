"""Tables of the bot's database by version; a file of any older version is migrated to the newest."""

from __future__ import annotations

from bot.adapters.sqlite.migration_steps import drop_tally, rename_network, tally

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    # Version 1. Each step of the bot's work is the state of a row, so that a killed bot continues where it stopped.
    (
        """CREATE TABLE source (
            name TEXT PRIMARY KEY,
            cursor TEXT NOT NULL,
            updated_at TEXT NOT NULL
        )""",
        """CREATE TABLE tweet (
            place INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            source TEXT NOT NULL,
            author TEXT NOT NULL,
            created_at TEXT NOT NULL,
            text TEXT NOT NULL,
            read_at TEXT NOT NULL,
            status TEXT NOT NULL CHECK (status IN ('pending', 'done', 'no song', 'failed')),
            attempts INTEGER NOT NULL DEFAULT 0,
            reason TEXT NOT NULL DEFAULT '',
            handled_at TEXT
        )""",
        "CREATE INDEX tweet_status ON tweet (status, place)",
        """CREATE TABLE bad_row (
            source TEXT NOT NULL,
            line INTEGER NOT NULL,
            reason TEXT NOT NULL,
            excerpt TEXT NOT NULL,
            seen_at TEXT NOT NULL,
            PRIMARY KEY (source, line)
        )""",
        """CREATE TABLE song (
            tweet_id TEXT NOT NULL REFERENCES tweet (id),
            number INTEGER NOT NULL,
            artist TEXT NOT NULL,
            song TEXT NOT NULL,
            genres TEXT NOT NULL,
            PRIMARY KEY (tweet_id, number)
        ) WITHOUT ROWID""",
        """CREATE TABLE candidate (
            id TEXT PRIMARY KEY,
            tweet_place INTEGER NOT NULL REFERENCES tweet (place),
            tweet_id TEXT NOT NULL,
            song_number INTEGER NOT NULL,
            number INTEGER NOT NULL,
            sample TEXT NOT NULL,
            model TEXT NOT NULL,
            model_version TEXT NOT NULL,
            archive_sha256 TEXT NOT NULL,
            genres_unknown TEXT NOT NULL,
            status TEXT NOT NULL CHECK (status IN ('waiting', 'accepted', 'rejected')),
            created_at TEXT NOT NULL,
            verdict_id INTEGER REFERENCES verdict (id),
            UNIQUE (tweet_place, song_number, number),
            FOREIGN KEY (tweet_id, song_number) REFERENCES song (tweet_id, number)
        )""",
        "CREATE INDEX candidate_status ON candidate (status, tweet_place, song_number, number)",
        """CREATE TABLE verdict (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            candidate_id TEXT NOT NULL REFERENCES candidate (id),
            decision TEXT NOT NULL CHECK (decision IN ('accept', 'reject')),
            edited_text TEXT,
            who TEXT NOT NULL,
            decided_at TEXT NOT NULL
        )""",
        "CREATE TABLE note (key TEXT PRIMARY KEY, value TEXT NOT NULL, updated_at TEXT NOT NULL)",
    ),
    # Version 2. Networks: origin of a source post, rows on the board, posts, cached genres.
    (
        "ALTER TABLE tweet ADD COLUMN kind TEXT NOT NULL DEFAULT 'feed'",
        "ALTER TABLE tweet ADD COLUMN lang TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE tweet ADD COLUMN url TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE song ADD COLUMN origin TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE song ADD COLUMN url TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE song ADD COLUMN key TEXT NOT NULL DEFAULT ''",
        "CREATE INDEX song_key ON song (key) WHERE key <> ''",
        "ALTER TABLE candidate ADD COLUMN flags TEXT NOT NULL DEFAULT '[]'",
        "ALTER TABLE candidate ADD COLUMN score REAL",
        # Off the board, on it, or in doubt: an append was begun and not confirmed.
        "ALTER TABLE candidate ADD COLUMN board TEXT NOT NULL DEFAULT 'off' CHECK (board IN ('off', 'doubtful', 'on'))",
        """CREATE INDEX candidate_unboarded ON candidate (tweet_place, song_number, number)
            WHERE board = 'off' AND status = 'waiting'""",
        "CREATE INDEX candidate_boarding ON candidate (id) WHERE board = 'doubtful'",
        # Content of a board's row when it was last read; an unchanged row is not a new verdict.
        """CREATE TABLE board_row (
            candidate_id TEXT PRIMARY KEY REFERENCES candidate (id),
            status TEXT NOT NULL,
            text TEXT NOT NULL,
            who TEXT NOT NULL
        ) WITHOUT ROWID""",
        # A verdict can be undone. SQLite cannot change the CHECK of a table, so the table is rebuilt.
        """CREATE TABLE verdict_2 (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            candidate_id TEXT NOT NULL REFERENCES candidate (id),
            decision TEXT NOT NULL CHECK (decision IN ('accept', 'reject', 'undo')),
            edited_text TEXT,
            who TEXT NOT NULL,
            decided_at TEXT NOT NULL
        )""",
        "INSERT INTO verdict_2 SELECT id, candidate_id, decision, edited_text, who, decided_at FROM verdict",
        "DROP TABLE verdict",
        "ALTER TABLE verdict_2 RENAME TO verdict",
        "CREATE INDEX verdict_candidate ON verdict (candidate_id)",
        "CREATE INDEX verdict_decided ON verdict (decided_at)",
        """CREATE TABLE post (
            place INTEGER PRIMARY KEY AUTOINCREMENT,
            candidate_id TEXT NOT NULL UNIQUE REFERENCES candidate (id),
            text TEXT NOT NULL,
            text_key TEXT NOT NULL,
            network TEXT NOT NULL DEFAULT '',
            mode TEXT NOT NULL DEFAULT 'standalone' CHECK (mode IN ('standalone', 'reply', 'quote')),
            in_reply_to TEXT,
            status TEXT NOT NULL
                CHECK (status IN ('pending', 'sending', 'sent', 'unknown', 'refused', 'cancelled')),
            attempts INTEGER NOT NULL DEFAULT 0,
            after_id TEXT,
            external_id TEXT,
            reason TEXT NOT NULL DEFAULT '',
            created_at TEXT NOT NULL,
            attempted_at TEXT,
            sent_at TEXT,
            sent_number INTEGER UNIQUE
        )""",
        "CREATE INDEX post_status ON post (status, place)",
        "CREATE INDEX post_text ON post (text_key)",
        "CREATE INDEX post_attempted ON post (attempted_at)",
        "CREATE UNIQUE INDEX post_external ON post (network, external_id) WHERE external_id IS NOT NULL",
        """CREATE TABLE artist_genres (
            key TEXT PRIMARY KEY,
            name TEXT,
            genres TEXT NOT NULL,
            origin TEXT NOT NULL,
            expires_at TEXT NOT NULL
        ) WITHOUT ROWID""",
        # Items that networks bill, for the estimate of the cost.
        """CREATE TABLE usage (
            month TEXT NOT NULL,
            item TEXT NOT NULL,
            count INTEGER NOT NULL,
            PRIMARY KEY (month, item)
        ) WITHOUT ROWID""",
        # Services that are not to be called before a time, so that a rate limit outlasts a restart.
        "CREATE TABLE pause (part TEXT PRIMARY KEY, until TEXT NOT NULL, reason TEXT NOT NULL) WITHOUT ROWID",
        *tally("tweet", "status"),
        *tally("candidate", "model", "model_version", "status"),
        *tally("post", "status"),
    ),
    # Version 3. Verdicts given elsewhere are written to the board as well.
    (
        # Edits of the board that are due or in doubt; `sent_*` is the content of a call that is not confirmed.
        """CREATE TABLE board_edit (
            candidate_id TEXT PRIMARY KEY REFERENCES candidate (id),
            due INTEGER NOT NULL DEFAULT 1,
            restore INTEGER NOT NULL DEFAULT 0,
            sent_status TEXT,
            sent_text TEXT,
            sent_who TEXT,
            sent_at TEXT
        ) WITHOUT ROWID""",
        """INSERT INTO board_edit (candidate_id)
            SELECT candidate.id FROM candidate LEFT JOIN board_row ON board_row.candidate_id = candidate.id
            WHERE candidate.board <> 'off'
            AND candidate.status <> lower(trim(COALESCE(board_row.status, 'waiting')))""",
    ),
    # Version 4. A network has one name; ids of posts keep the prefixes that they were stored with.
    (*rename_network("bsky", "bluesky"), *rename_network("masto", "mastodon")),
    # Version 5. The JSON of a new sample has its finish reason, which earlier programs do not read; the reason of the
    # samples that are there is unknown.
    (),
    # Version 6. Of a post that was attempted, the whole text as the network gets it; it stays when a template changes.
    # Until now that was the candidate's text.
    (
        "ALTER TABLE post ADD COLUMN sent_text TEXT NOT NULL DEFAULT ''",
        "UPDATE post SET sent_text = text WHERE attempts > 0",
    ),
    # Version 7. Genres that the model was asked for where it knows none of the artist's.
    ("ALTER TABLE song ADD COLUMN genres_asked TEXT NOT NULL DEFAULT '[]'",),
    # Rows of feeds were counted by the rows that were kept; now every odd item is counted, and the latest are kept.
    (
        """CREATE TABLE odd_item (
            place INTEGER PRIMARY KEY AUTOINCREMENT,
            part TEXT NOT NULL,
            item TEXT NOT NULL,
            reason TEXT NOT NULL,
            excerpt TEXT NOT NULL,
            seen_at TEXT NOT NULL,
            UNIQUE (part, item)
        )""",
        "CREATE TABLE odd_tally (part TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID",
        "INSERT INTO odd_tally SELECT source, COUNT(*) FROM bad_row GROUP BY source",
        """INSERT INTO odd_item (part, item, reason, excerpt, seen_at)
            SELECT source, 'line ' || line, reason, excerpt, seen_at FROM
            (SELECT * FROM bad_row ORDER BY seen_at DESC, line DESC LIMIT 1000) ORDER BY seen_at, line""",
        "DROP TABLE bad_row",
        # Counts of what happened, which never fall: verdicts that were given, posts that were refused.
        """CREATE TABLE verdict_tally (
            model TEXT NOT NULL,
            model_version TEXT NOT NULL,
            decision TEXT NOT NULL,
            count INTEGER NOT NULL,
            PRIMARY KEY (model, model_version, decision)
        ) WITHOUT ROWID""",
        """INSERT INTO verdict_tally SELECT candidate.model, candidate.model_version, decision, COUNT(*)
            FROM verdict JOIN candidate ON candidate.id = verdict.candidate_id GROUP BY 1, 2, 3""",
        """CREATE TRIGGER verdict_tally_insert AFTER INSERT ON verdict BEGIN
            INSERT INTO verdict_tally SELECT model, model_version, new.decision, 0 FROM candidate
            WHERE candidate.id = new.candidate_id AND NOT EXISTS (
                SELECT 1 FROM verdict_tally WHERE verdict_tally.model = candidate.model
                AND verdict_tally.model_version = candidate.model_version AND decision = new.decision
            );
            UPDATE verdict_tally SET count = count + 1 WHERE decision = new.decision AND (model, model_version)
            = (SELECT model, model_version FROM candidate WHERE id = new.candidate_id);
        END""",
        """CREATE TABLE refusal_tally (
            network TEXT NOT NULL, reason TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (network, reason)
        ) WITHOUT ROWID""",
        # Rows that the board refuses as they are.
        "CREATE TABLE board_refused (candidate_id TEXT PRIMARY KEY, reason TEXT NOT NULL) WITHOUT ROWID",
    ),
    # Curating: reasons of rejections, searches, wrong or changed songs, and who looks at which song.
    (
        "ALTER TABLE verdict ADD COLUMN reason TEXT NOT NULL DEFAULT ''",
        # Why a candidate does not count for or against its model: its song was wrong or was changed.
        "ALTER TABLE candidate ADD COLUMN withdrawn TEXT NOT NULL DEFAULT ''",
        *drop_tally("candidate"),
        *tally("candidate", "model", "model_version", "status", "withdrawn"),
        # What a candidate is found by, as `search_key` writes it.
        """CREATE TABLE search (
            candidate_id TEXT PRIMARY KEY REFERENCES candidate (id),
            words TEXT NOT NULL,
            artist TEXT NOT NULL,
            genres TEXT NOT NULL
        ) WITHOUT ROWID""",
        """INSERT INTO search
            SELECT candidate.id, search_key(song.artist || ' ' || json_extract(song.song, '$.title')
                || ' ' || tweet.text || ' ' || tweet.author || ' ' || json_extract(candidate.sample, '$.text')
                || ' ' || COALESCE(verdict.edited_text, '')),
                search_key(song.artist),
                char(31) || COALESCE((SELECT group_concat(search_key(value), char(31)) FROM json_each(song.genres)), '')
                || char(31)
            FROM candidate
            JOIN song ON song.tweet_id = candidate.tweet_id AND song.number = candidate.song_number
            JOIN tweet ON tweet.id = candidate.tweet_id
            LEFT JOIN verdict ON verdict.id = candidate.verdict_id""",
        # For the order by score.
        "CREATE INDEX candidate_score ON candidate (tweet_place, song_number, model, model_version, score)",
        # A curator's judgement of the parser and the lookups; one that was undone stays on record.
        """CREATE TABLE song_label (
            place INTEGER PRIMARY KEY AUTOINCREMENT,
            tweet_id TEXT NOT NULL,
            song_number INTEGER NOT NULL,
            label TEXT NOT NULL CHECK (label IN ('no song', 'song changed')),
            artist TEXT NOT NULL DEFAULT '',
            title TEXT NOT NULL DEFAULT '',
            genres TEXT NOT NULL DEFAULT '[]',
            new_number INTEGER,
            who TEXT NOT NULL,
            labelled_at TEXT NOT NULL,
            undone_at TEXT,
            FOREIGN KEY (tweet_id, song_number) REFERENCES song (tweet_id, number)
        )""",
        "CREATE INDEX song_label_song ON song_label (tweet_id, song_number)",
        "CREATE TABLE viewer (who TEXT PRIMARY KEY, song TEXT NOT NULL, seen_at TEXT NOT NULL) WITHOUT ROWID",
    ),
    # What the bot shows beside a row of the board: a note for the curator, and the post as it will be sent.
    (
        """CREATE TABLE board_extra (
            candidate_id TEXT PRIMARY KEY REFERENCES candidate (id),
            note TEXT NOT NULL DEFAULT '',
            -- Grows with each change; the row is right when `shown` has reached it.
            version INTEGER NOT NULL DEFAULT 1,
            sent INTEGER,
            shown INTEGER NOT NULL DEFAULT 0
        ) WITHOUT ROWID""",
    ),
    # After a restore: the account's own posts, of which the database may know nothing. `candidate_id` is given by
    # outputs that keep it; `about` is the candidate that was refused because the post may be of its song.
    (
        """CREATE TABLE own_post (
            network TEXT NOT NULL,
            external_id TEXT NOT NULL,
            text TEXT NOT NULL,
            created_at TEXT NOT NULL,
            candidate_id TEXT NOT NULL,
            in_reply_to TEXT NOT NULL,
            is_unread INTEGER NOT NULL,
            about TEXT NOT NULL DEFAULT '',
            PRIMARY KEY (network, external_id)
        ) WITHOUT ROWID""",
    ),
    # Pace: curators confirm a post although there is another one about its song.
    (
        """CREATE TABLE confirmation (
            candidate_id TEXT PRIMARY KEY REFERENCES candidate (id),
            who TEXT NOT NULL,
            confirmed_at TEXT NOT NULL
        ) WITHOUT ROWID""",
    ),
    # Interleaved experiments: the candidates of a song are those of several versions, which no curator is told.
    (
        "ALTER TABLE candidate ADD COLUMN experiment TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE candidate ADD COLUMN exposure_id TEXT NOT NULL DEFAULT ''",
        # 1 while a candidate of the experiment's song waits: until then nothing tells the versions of its candidates.
        "ALTER TABLE candidate ADD COLUMN blind INTEGER NOT NULL DEFAULT 0",
        # Counted apart, so that no count of a version moves with a verdict on a candidate whose version is not shown.
        *drop_tally("candidate"),
        *tally("candidate", "model", "model_version", "status", "withdrawn", "blind"),
    ),
    # Verdicts on a song of an experiment are counted by version once its last candidate has one: a count that rises
    # with a verdict would tell the candidate's version. An undo waits as well, because it makes the song blind.
    (
        "DROP TRIGGER verdict_tally_insert",
        "ALTER TABLE verdict ADD COLUMN counted INTEGER NOT NULL DEFAULT 0",
        "UPDATE verdict SET counted = 1",
        """CREATE TRIGGER verdict_tally_count AFTER UPDATE OF counted ON verdict
        WHEN new.counted AND NOT old.counted BEGIN
            INSERT INTO verdict_tally SELECT model, model_version, new.decision, 0 FROM candidate
            WHERE candidate.id = new.candidate_id AND NOT EXISTS (
                SELECT 1 FROM verdict_tally WHERE verdict_tally.model = candidate.model
                AND verdict_tally.model_version = candidate.model_version AND decision = new.decision
            );
            UPDATE verdict_tally SET count = count + 1 WHERE decision = new.decision AND (model, model_version)
            = (SELECT model, model_version FROM candidate WHERE id = new.candidate_id);
        END""",
        """CREATE TRIGGER verdict_tally_insert AFTER INSERT ON verdict BEGIN
            UPDATE verdict SET counted = 1 WHERE id = new.id AND NOT EXISTS (
                SELECT 1 FROM candidate WHERE candidate.id = new.candidate_id AND experiment <> ''
                AND (blind OR new.decision = 'undo')
            );
        END""",
        """CREATE TRIGGER verdict_tally_told AFTER UPDATE OF blind ON candidate WHEN old.blind AND NOT new.blind BEGIN
            UPDATE verdict SET counted = 1 WHERE candidate_id = new.id AND NOT counted;
        END""",
    ),
    # Traces: where the time of the request for a candidate's song went.
    ("ALTER TABLE candidate ADD COLUMN trace_id TEXT NOT NULL DEFAULT ''",),
    # Verdicts that nobody outside was told of; one is added when it counts by version, which waits for its song.
    (
        "CREATE TABLE evaluation (verdict_id INTEGER PRIMARY KEY REFERENCES verdict (id))",
        """CREATE TRIGGER evaluation_due AFTER UPDATE OF counted ON verdict
        WHEN new.counted AND NOT old.counted BEGIN INSERT INTO evaluation VALUES (new.id); END""",
    ),
)
"""Statements from each version of the schema to the next; the first lead from an empty file to version 1."""
