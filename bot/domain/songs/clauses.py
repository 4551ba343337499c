"""Clauses and announcements before the words about a song, and their removal."""

from __future__ import annotations

import re

from bot.domain.songs.names import words_of

LEAD_IN = re.compile(
    r"(?:(?:\W*\b(?:please|go|let's|i'm|i|we|we're|currently|just|still|also|been|everyone|you|should|must|"
    r"need to|can't|cannot|stop|to|am)\s+)*"
    r"\W*\b(?:(?:playing now|on now|listen(?:ing)? to|hear(?:ing)?|watch(?:ing)?|stream(?:ing)?|check(?:ing)? out|"
    r"play(?:ing)?|spinning|"
    r"now (?:playing|spinning)|nowplaying|nowspinning|np|on repeat|obsessed with|addicted to|hooked on|"
    r"loving|loved|heard|discovered|"
    r"new (?:music|song|single|track|video|release)|song of the day|sotd|throwback to|first listen|out now|"
    r"today's (?:song|pick|track|earworm)|(?:current )?earworm|next up|up next|coming up(?: next)?|"
    r"best new (?:music|track)|presenting|introducing|revisit(?:ing)?)\b(?![\w'])|"
    # These begin names as well ("New Order", "Video Age"), so a punctuation mark must follow.
    r"(?:new|love|premiere|exclusive|video|audio|track|song|single|throwback|tbt|fresh|review|enjoy|recommended|"
    r"discovery|update|breaking)(?=\s*(?:[:!|\]]|//)))\s*[:\-!|,\]→>»/]*\s*)+",
    re.IGNORECASE,
)
_HARD_BREAK = re.compile(r".*(?:[.!?…]\s|[:;|()\[\]{}~]|\s-+\s|\s[^\w\s@&$+×'\".]+\s)")
_STOP = re.compile(r"(?<!\S)(\S*?)([.!?…:;|])\s")
_ABBREVIATED = words_of("no op nr mr mrs ms dr st pt vol vs ft feat jr sr")


def last_clause(segment: str, *, comma: bool = True) -> str:
    """Return the part of a segment after its last break, without "listen to" and similar; a name is read from it."""
    segment = segment[-200:].strip()
    broken = _HARD_BREAK.match(segment)
    if broken is not None and not re.search(r"\b\w\.\s$", broken.group()):
        segment = segment[broken.end() :]
    if comma and "," in segment and not re.search(r",[^,]+(?:\s&|\sand|\sx)\s", segment):
        head, tail = segment.rsplit(",", 1)
        segment = tail if tail.strip().casefold() != "the creator" else ",".join((head.rsplit(",", 1)[-1], tail))
    return strip_lead_in(segment)


def strip_lead_in(segment: str) -> str:
    """Remove the announcement before the song: "now playing:", "please listen to"."""
    lead_in = LEAD_IN.match(segment)
    rest = segment[lead_in.end() :] if lead_in is not None else segment
    # A text that is a lead-in as a whole may be a name and stays.
    return rest.strip() or segment.strip()


def last_sentence(text: str) -> str:
    """Return the text after the last full stop, colon or semicolon.

    The stop of an abbreviation, or behind a single word, does not count.

    >>> last_sentence("My pick of today: Ona Vell feat. Tor Brisk"), last_sentence("Lamp! At The Sea")
    ('Ona Vell feat. Tor Brisk', 'Lamp! At The Sea')
    """
    for stop in reversed(list(_STOP.finditer(text))):
        alone = stop.group(2) in ".!?" and " " not in text[: stop.start()].strip()
        if not alone and not is_abbreviation(stop.group(1), stop.group(2)):
            return text[stop.end() :].strip()
    return text


def is_abbreviation(word: str, stop: str) -> bool:
    """Whether a mark after a word ends an abbreviation rather than a sentence: "No.", "B.", "feat."."""
    return stop == "." and (
        word.casefold() in _ABBREVIATED or (len(word) == 1 and word.isalpha()) or "." in word.rstrip(".")
    )
