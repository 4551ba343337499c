"""Names that processes agree on: a worker's input, versions of the contract, tags and aliases of the registry."""

from __future__ import annotations

from typing import Final

INPUT_FIELD: Final = "data"
"""The key of TorchServe's input map that holds the request."""
START_BY_FIELD: Final = "start_by"
"""The key of TorchServe's input map that holds the latest moment at which the request's decode may start: a decimal
number of seconds of CLOCK_MONOTONIC (`time.monotonic()`), which all processes of a machine share. Absent: no limit."""
TRACEPARENT_FIELD: Final = "traceparent"
"""The key of TorchServe's input map that holds the context of the request's trace, as W3C writes it in the header of
that name. The answer to a request that has one tells the times of its batch (`BatchTimes`)."""

ARCHIVE_TAG: Final = "archive"
"""Registry tag of a model version: the run's artifact path of its archive."""
ARCHIVE_SHA256_TAG: Final = "archive_sha256"
"""Registry tag of a model version: the SHA-256 of its archive, in hexadecimal."""
ARCHIVE_SIGNATURE_TAG: Final = "archive_signature"
"""Registry tag of a model version: the signature of its archive (`foundation.signatures`); absent if nobody signed."""
CHAMPION: Final = "champion"
"""Registry alias of the version that answers requests without a pin."""
CHALLENGER: Final = "challenger"
"""Registry alias of a version that is served for requests that pin it."""
PREVIOUS: Final = "previous"
"""Registry alias of the champion before it, kept live so that a rollback takes effect at once."""
ARCHIVE_CONFIG: Final = "config.json"
"""Member of an archive: the bundle's configuration (model name, lineage, sizes, desired topic)."""
RANK_BY_FIELD: Final = "rank_by"
"""Field of an archive's configuration: the rule by which its worker ranks candidates where a request does not say;
absent for acceptability."""
CONTRACT_FIELD: Final = "contract"
"""Field of an archive's configuration: the version of the request's JSON that its worker reads."""
CONTRACT: Final = 4
"""Version of the request's JSON that this code writes. It reads versions 1 to 3 as well."""
BATCHES_CONTRACT: Final = 3
"""First version whose worker reads several requests from one call (`handlers.batches`)."""
PARTS_CONTRACT: Final = 4
"""First version whose worker reads parts of requests from such a call: some of a request's samples by themselves."""
RULES_CONTRACT: Final = 4
"""First version whose worker reads `rank_by` and may have a default rule of its own; earlier ones rank by
acceptability."""
TRACES_CONTRACT: Final = 4
"""First version whose worker reads the context of a request's trace (`TRACEPARENT_FIELD`)."""
FIRST_CONTRACT: Final = 1
"""Version that an archive reads whose configuration has none. In it, `no_repeat_ngram_size` is `no_repeat_ngram` and
`bad_words` is `banned`."""
THREADS_FILE_VARIABLE: Final = "DEEPHYPEBOT_THREADS_FILE"
"""Environment variable of a worker: path of the file that holds the number of threads its decode may use."""
COMPILED_VARIABLE: Final = "DEEPHYPEBOT_COMPILED"
"""Environment variable of a worker that, set to 0, has torch decode although numba is there."""
KERNEL_CACHE_VARIABLE: Final = "DEEPHYPEBOT_KERNEL_CACHE"
"""Environment variable of a worker that names the folder of compiled code."""


def archive_name(model: str, version: str) -> str:
    """File name of a version's archive.

    >>> archive_name("lcgan", "2")
    'lcgan_2.mar'
    """
    return f"{model}_{version}.mar"
