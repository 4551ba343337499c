"""Statements that several migrations of the bot's database have in common."""

from __future__ import annotations

from string import Template

# A table of counts that triggers maintain: counting a million rows takes longer than a person waits.
_TALLY = (
    Template("CREATE TABLE ${table}_tally ($key, count INTEGER NOT NULL, PRIMARY KEY ($key)) WITHOUT ROWID"),
    Template("INSERT INTO ${table}_tally SELECT $key, COUNT(*) FROM $table GROUP BY $key"),
    Template("CREATE TRIGGER ${table}_tally_insert AFTER INSERT ON $table BEGIN $added END"),
    Template("CREATE TRIGGER ${table}_tally_delete AFTER DELETE ON $table BEGIN $removed END"),
    Template("CREATE TRIGGER ${table}_tally_update AFTER UPDATE OF $key ON $table BEGIN $removed $added END"),
)
# Without ON CONFLICT: in a trigger, the conflict clause of the firing statement applies.
_COUNT = Template(
    "INSERT INTO ${table}_tally SELECT $values, 0 WHERE NOT EXISTS (SELECT 1 FROM ${table}_tally WHERE $same);"
    " UPDATE ${table}_tally SET count = count $change WHERE $same;"
)


def tally(table: str, *key: str) -> tuple[str, ...]:
    """Statements that count a table's rows by some columns, and keep counting."""

    def count(row: str, change: str) -> str:
        same = " AND ".join(f"{column} = {row}.{column}" for column in key)
        values = ", ".join(f"{row}.{column}" for column in key)
        return _COUNT.substitute(table=table, values=values, same=same, change=change)

    names = {"table": table, "key": ", ".join(key), "added": count("new", "+ 1"), "removed": count("old", "- 1")}
    return tuple(template.substitute(names) for template in _TALLY)


def drop_tally(table: str) -> tuple[str, ...]:
    """Statements that remove what `tally` made."""
    triggers = (f"DROP TRIGGER {table}_tally_{event}" for event in ("insert", "delete", "update"))
    return (*triggers, f"DROP TABLE {table}_tally")


def rename_network(old: str, new: str) -> tuple[str, ...]:
    """Statements that rename a network in names of sources, on the bill and on posts."""

    def rename(table: str, column: str, mark: str) -> str:
        first = len(old) + len(mark)
        return (
            f"UPDATE {table} SET {column} = '{new}{mark}' || substr({column}, {first + 1})"  # noqa: S608 -- constants
            f" WHERE substr({column}, 1, {first}) = '{old}{mark}'"
        )

    return (
        *(rename(*place, ":") for place in (("source", "name"), ("tweet", "source"), ("bad_row", "source"))),
        rename("pause", "part", ":"),
        rename("usage", "item", " "),
        f"UPDATE post SET network = '{new}' WHERE network = '{old}'",  # noqa: S608 -- constants
    )
