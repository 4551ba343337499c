"""Words around a song that belong to the place where it is shared: numbers, file names, services, kinds of video."""

from __future__ import annotations

import re

_PLACE = re.compile(
    # The place on a record, "A2." or "B1 ", the number of a file, "04. " or "01 - ", the time of a radio's list.
    r"^\W*(?:(?:[A-H]\d{1,2}(?:[.:)]|\s+-)?\s+(?=[^-|]+\s[-|]\s))|\d{1,3}\s*[.):]\s+|\d\d?\s+-\s+(?=[^-]+\s-\s)|"
    r"0\d\s+(?=[^\W\d][^-]*\s-\s)|"
    r"(?:[01]?\d|2[0-3])[:h.][0-5]\d\s*(?:uhr|h)?[\])]?\s*[-|:•·/]*\s+|[-*•·>]\s+|side [a-d]\s*[:.-]\s*)",
    re.IGNORECASE,
)
_FILE = re.compile(r"\.(?:mp3|flac|wav|m4a|ogg|aac|aiff?|wma|opus)\b", re.IGNORECASE)
_SERVICE = (
    r"(?:#|@)?(?:apple ?music|spotify|tidal|deezer|sound ?cloud|you ?tube(?: ?music)?|amazon ?music|bandcamp|qobuz|"
    r"napster|pandora|audiomack|beatport|mixcloud|vevo|shazam|anghami|boomplay|jiosaavn|yandex(?: music)?|last\.?fm)"
)
_ON_SERVICE = re.compile(
    rf"(?:[\s,-]+(?:(?:is |now |out |up |available |streaming |live )*(?:on|via|from|auf|en|sur|em|no)\s+{_SERVICE}"
    r"(?:(?:\s*(?:,|&|and)\s*)" + _SERVICE + r")*))(?=\s*(?:[.!]*$|[.!,]\s|#|\||-\s|and\b|now\b))",
    re.IGNORECASE,
)
_VIDEO_WORD = (
    r"(?:official|officiel(?:le)?|offizielle[sr]?|oficial|ufficiale|officieel|oficjalny|music|musik|"
    r"video(?:\s?clip)?|musikvideo|clip|"
    r"mv|m/v|lyrics?|letra|visuali[sz]er|audio|hd|hq|4k|uhd|8k|1080p|720p|live video|премьера|клип|remastered video)"
)
_VIDEO = re.compile(
    rf"\s+[-|]?\s*(?:(?:{_VIDEO_WORD}\s+)*(?:videoclip|musikvideo|clip officiel|video(?:\s?clip)? (?:oficial|"
    rf"ufficiale)|official (?:music )?"
    rf"(?:video|audio)|lyric video|music video|HD|HQ|4K|UHD|8K|1080p|720p|MV|M/V))(?:\s+{_VIDEO_WORD})*\s*$",
    re.IGNORECASE,
)
_ON_RECORD = re.compile(r"\s*[A-H]\d{1,2}(?:[.:)]|\s+-)?\s")
_COUNTED = re.compile(r"\s*(\d{1,2})\s+(?=\S)")
_SIDE = re.compile(r"\s*([A-H])[.):]\s+(?=\S)")
_FEW = 2
"""Minimum lines of a counted list."""
_LONG = 4
_START, _END, _MAX_LINE = 160, 60, 400
"""Characters that are read at the start and at the end of a line, and of a line that may be trimmed at all."""
_CUT = re.compile(r"(\w\s?)(?:…|\.{3,})\s*$")


def without_place(line: str) -> str:
    """Remove the place of a song in a list: of a record, a folder, a radio's hour.

    >>> without_place("A2. Ona Vell - Tin Sea"), without_place("07. Tin Sea"), without_place("21:07 | Ona Vell")
    ('Ona Vell - Tin Sea', 'Tin Sea', 'Ona Vell')
    """
    start, rest = line[:_START], line[_START:]
    for _ in range(2):
        start = _PLACE.sub("", start, count=1)
    return start + rest


def is_on_record(line: str) -> bool:
    """Whether a line begins with a place on a record, "A2." or "B1"."""
    return _ON_RECORD.match(line) is not None


def without_numbers(lines: list[str]) -> list[str]:
    """Remove the numbers of a list whose lines are counted without a mark behind the number.

    >>> without_numbers(["Side A", "1 Ona Vell: Moss", "2 Tor Brisk: Lamp"]), without_numbers(["99 Red Lamps"])
    (['Side A', 'Ona Vell: Moss', 'Tor Brisk: Lamp'], ['99 Red Lamps'])
    """
    sides = [_SIDE.match(line) for line in lines]
    if sum(mark is not None for mark in sides) >= _FEW and any(
        mark is not None and mark.group(1) == "A" for mark in sides
    ):
        return [line if mark is None else line[mark.end() :] for line, mark in zip(lines, sides, strict=True)]
    found = [(place, _COUNTED.match(line)) for place, line in enumerate(lines)]
    counted = [(place, mark) for place, mark in found if mark is not None]
    if len(counted) < _FEW or [int(mark.group(1)) for _, mark in counted] != list(range(1, len(counted) + 1)):
        return lines
    numbers = {place: mark.end() for place, mark in counted}
    return [line[numbers.get(place, 0) :] for place, line in enumerate(lines)]


def without_trimmings(line: str) -> str:
    """Remove the file's ending, the service and the kind of video behind a song.

    >>> without_trimmings("Ona Vell - Tin Sea.mp3"), without_trimmings("Tin Sea by Ona Vell on Apple Music")
    ('Ona Vell - Tin Sea', 'Tin Sea by Ona Vell')
    >>> without_trimmings("Ona Vell - Tin Sea Clip Officiel"), without_trimmings("Ona Vell - Tin Sea HD")
    ('Ona Vell - Tin Sea', 'Ona Vell - Tin Sea')
    """
    if len(line) > _MAX_LINE:
        return line
    line = _ON_SERVICE.sub("", _FILE.sub("", line))
    begin = max(0, len(line) - _END)
    shorter = line[:begin] + _VIDEO.sub("", line[begin:])
    return shorter if " " in shorter.strip() else line


def cut_off(line: str, *, sure: bool = False) -> str:
    """Return a line that was cut at its end, without the mark; empty if it was not.

    Three dots may be the author's own, "Are You There..."; they count behind four words without a mark.

    Args:
        line: the line; three dots at its end also stand for the one character "…".
        sure: whether the text ended in that character, which services write where they cut.

    >>> cut_off("Ona Vell - Slow Lamp In The Lo..."), cut_off("Ona Vell - Are You There...")
    ('Ona Vell - Slow Lamp In The Lo', '')
    """
    begin = max(0, len(line) - _END)
    cut = _CUT.search(line, begin)
    if cut is None:
        return ""
    whole = line[: cut.end(1)].strip()[-_MAX_LINE:]
    long = len(re.split(r"\s-\s|\sby\s|[.!?:]\s", whole)[-1].split()) >= _LONG
    return whole if sure or long else ""
