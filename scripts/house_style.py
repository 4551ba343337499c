"""Check prose against the house style of CONTRIBUTING.md: docstrings, comments, messages, help and Markdown pages.

    python scripts/house_style.py [PATH ...]

Prints `FILE:LINE: RULE: TEXT` for each breach and ends with 1 if there are any. Without paths, the whole project.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
PACKAGES: Final = (
    "foundation",
    "handlers",
    "training",
    "serving",
    "bot",
    "bulk",
    "experiments",
    "loadtest",
    "benchmarks",
    "scripts",
)
SKIPPED: Final = re.compile(r"_pb2|/\.|/workspace/|docs/commands\.md$|house_style\.py$")

FIRST_WORDS: Final = re.compile(r"(What|How|Who|Whom|Whose|Which|Where|When|Why|Of)\b")
"""A first line begins with a noun or a verb, not with a clause: lists of modules can then be scanned."""

RULES: Final = {
    "write 'is not', not 'is no'": re.compile(
        r"(?<![Tt]here )\b(?:is|are|was|were|be) (?:no|none)\b(?! (?:longer|more|less|fewer|better|matter))(?! ?[|)]|$)"
    ),
    "write a leading zero, as in 0.83": re.compile(r"(?<![\w./\\:)\]}%'\"-])\.\d+(?![\dfge_]|\.\w)"),
    "use a word of today": re.compile(
        r"\b(?:mend(?:s|ed|ing)?|heed(?:s|ed)?|befall(?:s|en)?|anew|whoever|whosoever|for who|in the works|for company"
        r"|nobody's|somebody's|betimes|thereof|wherein|whence|thence|lest|aught|nought)\b",
        re.IGNORECASE,
    ),
    "say 'latent vector'": re.compile(
        r"\bthought vectors?\b|\b(?:model's|moves?|moved|its|their) thoughts\b|: thoughts "
    ),
}


@dataclass(frozen=True, slots=True)
class Breach:
    """A place that does not follow the house style."""

    path: Path
    line: int
    rule: str
    text: str

    def __str__(self) -> str:
        """Return the place in the form that editors follow."""
        return f"{self.path}:{self.line}: {self.rule}: {self.text.strip()[:100]}"


def breaches(path: Path) -> Iterator[Breach]:
    """Find the breaches of one file, Python or Markdown."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        lines = _prose_of_markdown(text)
    else:
        yield from _first_lines(path, text)
        lines = _prose_of_python(text)
    for number, line in lines:
        for rule, pattern in RULES.items():
            if pattern.search(line):
                yield Breach(path, number, rule, line)


def _first_lines(path: Path, text: str) -> Iterator[Breach]:
    """First lines of the docstrings of modules, classes, functions and attributes."""
    for node in ast.walk(ast.parse(text)):
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else ():
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                value = statement.value.value
                if isinstance(value, str) and FIRST_WORDS.match(value.strip()):
                    first = value.strip().splitlines()[0]
                    yield Breach(path, statement.lineno, "begin a docstring with a noun or a verb", first)


def _prose_of_python(text: str) -> Iterator[tuple[int, str]]:
    """Comments and strings of a module, line by line."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        kind = tokenize.tok_name[token.type]
        if kind in {"COMMENT", "STRING", "FSTRING_MIDDLE"}:
            for offset, line in enumerate(token.string.splitlines()):
                yield token.start[0] + offset, line


def _prose_of_markdown(text: str) -> Iterator[tuple[int, str]]:
    """Lines of a page outside fenced code, without inline code."""
    fenced = False
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced:
            yield number, re.sub(r"`[^`]*`", "``", line)


def project_files() -> list[Path]:
    """Every file of the project that the style covers."""
    modules = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.py")]
    return sorted(path for path in [*modules, *pages] if not SKIPPED.search(path.as_posix()))


def files_of(arguments: list[str]) -> list[Path]:
    """Files that the command line names; folders stand for what is in them."""
    if not arguments:
        return project_files()
    named = [Path(argument) for argument in arguments]
    files = [path for place in named for path in (sorted(place.rglob("*")) if place.is_dir() else [place])]
    return [path for path in files if path.suffix in {".py", ".md"} and not SKIPPED.search(path.as_posix())]


def main() -> None:
    """Print the breaches and end with 1 if there are any."""
    found = [breach for path in files_of(sys.argv[1:]) for breach in breaches(path)]
    for breach in found:
        sys.stdout.write(f"{breach}\n")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
