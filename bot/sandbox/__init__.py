"""Stand-ins for the networks, on loopback: for tests, and for trying the bot out with no account at all.

One server speaks as much of X v2, Spotify, Google's token endpoint, Sheets v4, Last.fm and MusicBrainz as the bot
needs, well enough that the real client libraries run unchanged. It checks signatures and tokens, keeps its state in
memory, and goes wrong on request.

In a process of its own, which a killed bot finds unchanged when it comes back:

    python -m bot.sandbox --port 8900 --settings sandbox.json

It prints its settings (addresses and credentials, one JSON object) once it answers, and writes them to the file. For
the life of a `with` block, in a thread:

    with SandboxServer() as server:
        server.settings.url, server.settings.x.consumer_key
        server.control.add_tweets([{"text": "“Tin Sea” by Tor Brisk"}])
        server.control.fail("x.create_tweet", kind="status", status=503, applied=True)

`bot.sandbox.client.SandboxControl(url)` is the same control from another process. Faults and their fields are
in `bot.sandbox.calls`, what can be asked of each network in its own module.
"""
