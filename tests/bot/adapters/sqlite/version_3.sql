BEGIN TRANSACTION;
CREATE TABLE artist_genres (
            key TEXT PRIMARY KEY,
            name TEXT,
            genres TEXT NOT NULL,
            origin TEXT NOT NULL,
            expires_at TEXT NOT NULL
        ) WITHOUT ROWID;
CREATE TABLE bad_row (
            source TEXT NOT NULL,
            line INTEGER NOT NULL,
            reason TEXT NOT NULL,
            excerpt TEXT NOT NULL,
            seen_at TEXT NOT NULL,
            PRIMARY KEY (source, line)
        );
CREATE TABLE board_edit (
            candidate_id TEXT PRIMARY KEY REFERENCES candidate (id),
            due INTEGER NOT NULL DEFAULT 1,
            restore INTEGER NOT NULL DEFAULT 0,
            sent_status TEXT,
            sent_text TEXT,
            sent_who TEXT,
            sent_at TEXT
        ) WITHOUT ROWID;
CREATE TABLE board_row (
            candidate_id TEXT PRIMARY KEY REFERENCES candidate (id),
            status TEXT NOT NULL,
            text TEXT NOT NULL,
            who TEXT NOT NULL
        ) WITHOUT ROWID;
CREATE TABLE candidate (
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
            verdict_id INTEGER REFERENCES verdict (id), flags TEXT NOT NULL DEFAULT '[]', score REAL, board TEXT NOT NULL DEFAULT 'off' CHECK (board IN ('off', 'doubtful', 'on')),
            UNIQUE (tweet_place, song_number, number),
            FOREIGN KEY (tweet_id, song_number) REFERENCES song (tweet_id, number)
        );
INSERT INTO "candidate" VALUES('bsky:at://did:plc:312d7c665e68049ae5777518/app.bsky.feed.post/3n3fiagjnok22.1.1',1,'bsky:at://did:plc:312d7c665e68049ae5777518/app.bsky.feed.post/3n3fiagjnok22',1,1,'{"text":"A slow lamp of a song, take 1.","token_count":9,"log_prob":-7.5,"topics":[0.25,0.75],"seed":1}','lcgan','2','abababababababababababababababababababababababababababababababab','[]','accepted','2026-11-28T19:54:52+00:00',1,'[]',-8.3333333333333337034e-01,'off');
INSERT INTO "candidate" VALUES('bsky:at://did:plc:312d7c665e68049ae5777518/app.bsky.feed.post/3n3fiagjnok22.1.2',1,'bsky:at://did:plc:312d7c665e68049ae5777518/app.bsky.feed.post/3n3fiagjnok22',1,2,'{"text":"A slow lamp of a song, take 2.","token_count":9,"log_prob":-7.5,"topics":[0.25,0.75],"seed":2}','lcgan','2','abababababababababababababababababababababababababababababababab','[]','waiting','2026-11-28T19:54:52+00:00',NULL,'[]',-8.3333333333333337034e-01,'off');
INSERT INTO "candidate" VALUES('masto:1000.1.1',2,'masto:1000',1,1,'{"text":"A slow lamp of a song, take 1.","token_count":9,"log_prob":-7.5,"topics":[0.25,0.75],"seed":1}','lcgan','2','abababababababababababababababababababababababababababababababab','[]','waiting','2026-11-28T19:54:52+00:00',NULL,'[]',-8.3333333333333337034e-01,'off');
INSERT INTO "candidate" VALUES('masto:1000.1.2',2,'masto:1000',1,2,'{"text":"A slow lamp of a song, take 2.","token_count":9,"log_prob":-7.5,"topics":[0.25,0.75],"seed":2}','lcgan','2','abababababababababababababababababababababababababababababababab','[]','accepted','2026-11-28T19:54:52+00:00',2,'[]',-8.3333333333333337034e-01,'off');
CREATE TABLE candidate_tally (model, model_version, status, count INTEGER NOT NULL, PRIMARY KEY (model, model_version, status)) WITHOUT ROWID;
INSERT INTO "candidate_tally" VALUES('lcgan','2','accepted',2);
INSERT INTO "candidate_tally" VALUES('lcgan','2','waiting',2);
CREATE TABLE note (key TEXT PRIMARY KEY, value TEXT NOT NULL, updated_at TEXT NOT NULL);
CREATE TABLE pause (part TEXT PRIMARY KEY, until TEXT NOT NULL, reason TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "pause" VALUES('bsky:timeline:sandboxbot.test','2030-01-01T00:00:00+00:00','too many calls');
CREATE TABLE post (
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
        );
INSERT INTO "post" VALUES(1,'bsky:at://did:plc:312d7c665e68049ae5777518/app.bsky.feed.post/3n3fiagjnok22.1.1','A lamp in my own words, bluesky.','alampinmyownwordsbluesky','bsky','standalone',NULL,'sent',1,NULL,'at://did:plc:3e7f6643e1e26941b232d93c/app.bsky.feed.post/3n3fiahfzg222','','2026-11-28T19:54:53+00:00','2026-11-28T19:54:53+00:00','2026-11-28T19:54:53+00:00',1);
INSERT INTO "post" VALUES(2,'masto:1000.1.2','A lamp in my own words, mastodon.','alampinmyownwordsmastodon','masto','standalone',NULL,'sent',1,NULL,'1002','','2026-11-28T19:54:53+00:00','2026-11-28T19:54:53+00:00','2026-11-28T19:54:53+00:00',2);
CREATE TABLE post_tally (status, count INTEGER NOT NULL, PRIMARY KEY (status)) WITHOUT ROWID;
INSERT INTO "post_tally" VALUES('pending',0);
INSERT INTO "post_tally" VALUES('sending',0);
INSERT INTO "post_tally" VALUES('sent',2);
CREATE TABLE song (
            tweet_id TEXT NOT NULL REFERENCES tweet (id),
            number INTEGER NOT NULL,
            artist TEXT NOT NULL,
            song TEXT NOT NULL,
            genres TEXT NOT NULL, origin TEXT NOT NULL DEFAULT '', url TEXT NOT NULL DEFAULT '', key TEXT NOT NULL DEFAULT '',
            PRIMARY KEY (tweet_id, number)
        ) WITHOUT ROWID;
INSERT INTO "song" VALUES('bsky:at://did:plc:312d7c665e68049ae5777518/app.bsky.feed.post/3n3fiagjnok22',1,'Ona Vell','{"artists":["Ona Vell"],"title":"Moss","featured":[],"version":null,"cover_of":null,"confidence":0.95}','[]','','','mossonavell');
INSERT INTO "song" VALUES('masto:1000',1,'Tor Brisk','{"artists":["Tor Brisk"],"title":"Tin Sea","featured":[],"version":null,"cover_of":null,"confidence":0.95}','[]','','','tinseatorbrisk');
CREATE TABLE source (
            name TEXT PRIMARY KEY,
            cursor TEXT NOT NULL,
            updated_at TEXT NOT NULL
        );
INSERT INTO "source" VALUES('bsky:mentions:sandboxbot.test','{"since": null, "until": null, "newest": null}','2026-11-28T19:54:53+00:00');
INSERT INTO "source" VALUES('bsky:timeline:sandboxbot.test','{"since": "2026-11-28T19:54:53.016Z", "until": null, "newest": null}','2026-11-28T19:54:53+00:00');
INSERT INTO "source" VALUES('masto:mentions:http://127.0.0.1:43479','{"since": null, "until": null, "newest": null}','2026-11-28T19:54:53+00:00');
INSERT INTO "source" VALUES('masto:timeline:http://127.0.0.1:43479','{"since": "1001", "until": null, "newest": null}','2026-11-28T19:54:53+00:00');
CREATE TABLE tweet (
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
        , kind TEXT NOT NULL DEFAULT 'feed', lang TEXT NOT NULL DEFAULT '', url TEXT NOT NULL DEFAULT '');
INSERT INTO "tweet" VALUES(1,'bsky:at://did:plc:312d7c665e68049ae5777518/app.bsky.feed.post/3n3fiagjnok22','bsky:timeline:sandboxbot.test','somebody.test','2026-11-28T19:54:52.086Z','@sandboxbot “Moss” by Ona Vell','2026-11-28T19:54:52+00:00','done',0,'','2026-11-28T19:54:52+00:00','timeline','en','https://bsky.app/profile/somebody.test/post/3n3fiagjnok22');
INSERT INTO "tweet" VALUES(2,'masto:1000','masto:timeline:http://127.0.0.1:43479','somebody','2026-11-28T19:54:52.090000+00:00','“Tin Sea” by Tor Brisk','2026-11-28T19:54:52+00:00','done',0,'','2026-11-28T19:54:52+00:00','timeline','en','http://127.0.0.1:43479/@somebody/1000');
INSERT INTO "tweet" VALUES(3,'masto:1001','masto:timeline:http://127.0.0.1:43479','somebody','2026-11-28T19:54:52.090000+00:00','What a grey morning.','2026-11-28T19:54:52+00:00','no song',0,'','2026-11-28T19:54:52+00:00','timeline','en','http://127.0.0.1:43479/@somebody/1001');
CREATE TABLE tweet_tally (status, count INTEGER NOT NULL, PRIMARY KEY (status)) WITHOUT ROWID;
INSERT INTO "tweet_tally" VALUES('done',2);
INSERT INTO "tweet_tally" VALUES('no song',1);
INSERT INTO "tweet_tally" VALUES('pending',0);
CREATE TABLE usage (
            month TEXT NOT NULL,
            item TEXT NOT NULL,
            count INTEGER NOT NULL,
            PRIMARY KEY (month, item)
        ) WITHOUT ROWID;
INSERT INTO "usage" VALUES('2026-11','bsky post',1);
INSERT INTO "usage" VALUES('2026-11','masto post',1);
CREATE TABLE "verdict" (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            candidate_id TEXT NOT NULL REFERENCES candidate (id),
            decision TEXT NOT NULL CHECK (decision IN ('accept', 'reject', 'undo')),
            edited_text TEXT,
            who TEXT NOT NULL,
            decided_at TEXT NOT NULL
        );
INSERT INTO "verdict" VALUES(1,'bsky:at://did:plc:312d7c665e68049ae5777518/app.bsky.feed.post/3n3fiagjnok22.1.1','accept','A lamp in my own words, bluesky.','ana','2026-11-28T19:54:52+00:00');
INSERT INTO "verdict" VALUES(2,'masto:1000.1.2','accept','A lamp in my own words, mastodon.','ana','2026-11-28T19:54:53+00:00');
CREATE INDEX tweet_status ON tweet (status, place);
CREATE INDEX candidate_status ON candidate (status, tweet_place, song_number, number);
CREATE INDEX song_key ON song (key) WHERE key <> '';
CREATE INDEX candidate_unboarded ON candidate (tweet_place, song_number, number)
            WHERE board = 'off' AND status = 'waiting';
CREATE INDEX candidate_boarding ON candidate (id) WHERE board = 'doubtful';
CREATE INDEX verdict_candidate ON verdict (candidate_id);
CREATE INDEX verdict_decided ON verdict (decided_at);
CREATE INDEX post_status ON post (status, place);
CREATE INDEX post_text ON post (text_key);
CREATE INDEX post_attempted ON post (attempted_at);
CREATE UNIQUE INDEX post_external ON post (network, external_id) WHERE external_id IS NOT NULL;
CREATE TRIGGER tweet_tally_insert AFTER INSERT ON tweet BEGIN INSERT INTO tweet_tally SELECT new.status, 0 WHERE NOT EXISTS (SELECT 1 FROM tweet_tally WHERE status = new.status); UPDATE tweet_tally SET count = count + 1 WHERE status = new.status; END;
CREATE TRIGGER tweet_tally_delete AFTER DELETE ON tweet BEGIN INSERT INTO tweet_tally SELECT old.status, 0 WHERE NOT EXISTS (SELECT 1 FROM tweet_tally WHERE status = old.status); UPDATE tweet_tally SET count = count - 1 WHERE status = old.status; END;
CREATE TRIGGER tweet_tally_update AFTER UPDATE OF status ON tweet BEGIN INSERT INTO tweet_tally SELECT old.status, 0 WHERE NOT EXISTS (SELECT 1 FROM tweet_tally WHERE status = old.status); UPDATE tweet_tally SET count = count - 1 WHERE status = old.status; INSERT INTO tweet_tally SELECT new.status, 0 WHERE NOT EXISTS (SELECT 1 FROM tweet_tally WHERE status = new.status); UPDATE tweet_tally SET count = count + 1 WHERE status = new.status; END;
CREATE TRIGGER candidate_tally_insert AFTER INSERT ON candidate BEGIN INSERT INTO candidate_tally SELECT new.model, new.model_version, new.status, 0 WHERE NOT EXISTS (SELECT 1 FROM candidate_tally WHERE model = new.model AND model_version = new.model_version AND status = new.status); UPDATE candidate_tally SET count = count + 1 WHERE model = new.model AND model_version = new.model_version AND status = new.status; END;
CREATE TRIGGER candidate_tally_delete AFTER DELETE ON candidate BEGIN INSERT INTO candidate_tally SELECT old.model, old.model_version, old.status, 0 WHERE NOT EXISTS (SELECT 1 FROM candidate_tally WHERE model = old.model AND model_version = old.model_version AND status = old.status); UPDATE candidate_tally SET count = count - 1 WHERE model = old.model AND model_version = old.model_version AND status = old.status; END;
CREATE TRIGGER candidate_tally_update AFTER UPDATE OF model, model_version, status ON candidate BEGIN INSERT INTO candidate_tally SELECT old.model, old.model_version, old.status, 0 WHERE NOT EXISTS (SELECT 1 FROM candidate_tally WHERE model = old.model AND model_version = old.model_version AND status = old.status); UPDATE candidate_tally SET count = count - 1 WHERE model = old.model AND model_version = old.model_version AND status = old.status; INSERT INTO candidate_tally SELECT new.model, new.model_version, new.status, 0 WHERE NOT EXISTS (SELECT 1 FROM candidate_tally WHERE model = new.model AND model_version = new.model_version AND status = new.status); UPDATE candidate_tally SET count = count + 1 WHERE model = new.model AND model_version = new.model_version AND status = new.status; END;
CREATE TRIGGER post_tally_insert AFTER INSERT ON post BEGIN INSERT INTO post_tally SELECT new.status, 0 WHERE NOT EXISTS (SELECT 1 FROM post_tally WHERE status = new.status); UPDATE post_tally SET count = count + 1 WHERE status = new.status; END;
CREATE TRIGGER post_tally_delete AFTER DELETE ON post BEGIN INSERT INTO post_tally SELECT old.status, 0 WHERE NOT EXISTS (SELECT 1 FROM post_tally WHERE status = old.status); UPDATE post_tally SET count = count - 1 WHERE status = old.status; END;
CREATE TRIGGER post_tally_update AFTER UPDATE OF status ON post BEGIN INSERT INTO post_tally SELECT old.status, 0 WHERE NOT EXISTS (SELECT 1 FROM post_tally WHERE status = old.status); UPDATE post_tally SET count = count - 1 WHERE status = old.status; INSERT INTO post_tally SELECT new.status, 0 WHERE NOT EXISTS (SELECT 1 FROM post_tally WHERE status = new.status); UPDATE post_tally SET count = count + 1 WHERE status = new.status; END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('verdict',2);
INSERT INTO "sqlite_sequence" VALUES('tweet',5);
INSERT INTO "sqlite_sequence" VALUES('post',2);
COMMIT;