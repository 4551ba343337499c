"""Stand-ins for the networks on loopback, for tests and for trying the bot without any account.

One server implements the parts of X v2, Spotify, Google's token endpoint, Sheets v4, Last.fm and MusicBrainz that the
bot needs, so that the real client libraries run unchanged. It checks signatures and tokens, keeps its state in memory,
and injects faults on request.

In its own process, so that the state outlives a killed bot:

    python -m bot.sandbox --port 8900 --settings sandbox.json

Once it answers, it prints its settings (addresses and credentials, one JSON object) and writes them to the file. In a
thread, for the duration of a `with` block:

    with SandboxServer() as server:
        server.settings.url, server.settings.x.consumer_key
        server.control.add_posts([{"text": "“Tin Sea” by Tor Brisk"}])
        server.control.fail("x.create_tweet", kind="status", status=503, applied=True)

`bot.sandbox.client.SandboxControl(url)` is the same control from another process. Faults and their fields are described
in `bot.sandbox.calls`, the operations of each network in its module.
"""
