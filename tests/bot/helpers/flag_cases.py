"""Texts that have a flag of their form, and texts that look like it and have none."""

from __future__ import annotations

from bot.domain.candidates import Flag

RIGHT = "A slow lamp of a song."
FLAGGED: dict[Flag, tuple[str, ...]] = {
    Flag.LINK: (
        "hear it: https://example.org/a",
        "it is on example.com.",
        "hear it at youtu.be/abc?t=1",
        "see www.example.de",
    ),
    Flag.MENTION: ("a song by @ona", "(@ona)", "thanks, ＠ona!", "@ona@example.org and @radio"),
    Flag.HASHTAG: ("a #slow song", "＃slow", "(#90s)", "#スロー"),
    Flag.PLACEHOLDER: ("a song by <artist>", "< title > is slow", "<The Artist> again", "{title} is slow", "{ x }"),
    Flag.DOUBLED: ("the the lamp", "A slow slow lamp", "The\nthe lamp", "a lamp of of  brass"),
    Flag.HIDDEN: (
        "a\N{ZERO WIDTH SPACE}b",
        "a\N{RIGHT-TO-LEFT OVERRIDE}b",
        "a\x07b",
        "a\N{SOFT HYPHEN}b",
        "a\N{HANGUL FILLER}b",
        "a\N{ZERO WIDTH JOINER}b",
        "\ufeffa",
        "a\ud800b",
    ),
    Flag.TOO_LONG: ("long " * 70, "日" * 140, "https://example.org/a " * 13),
}
UNFLAGGED: dict[Flag, tuple[str, ...]] = {
    Flag.LINK: ("a song.It is slow", "3.5 of 5", "e.g. this", "at 5 p.m. sharp", "and/or his.her/their", "www. what"),
    Flag.MENTION: ("lamp @ noon", "write to a@example.org", "@", "sl@w", "@@ona"),
    Flag.HASHTAG: ("the #1 song", "C# minor", "# slow", "a#b", "C#"),
    Flag.PLACEHOLDER: ("<3", "a < b > c", "1 <2> 3", "<artist", "{}", "a <b c d e> f"),
    Flag.DOUBLED: ("la la la", "no no no no, again", "It's its own", "slow-slow", "the, the", "word word's", "2 2"),
    Flag.HIDDEN: (
        "two\nlines",
        "\N{MAN}\N{ZERO WIDTH JOINER}\N{WOMAN}",
        "\N{WAVING BLACK FLAG}\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
        "شب\N{ZERO WIDTH NON-JOINER}ها",
        "naïve",
    ),
    Flag.TOO_LONG: ("lamp " * 50, "日" * 128, "https://example.org/" + "a" * 300),
}
