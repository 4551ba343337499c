"""The engine as the servers other than TorchServe call it.

`handlers` is imported from the unpacked archive, which comes first on the path, so all servers decode with the code of
the archive.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from handlers.commentary import Commentator
from handlers.contract import CommentaryRequest, encode_answer


class Served:
    """Model of one worker.

    Args:
        model: folder of the unpacked archive.
        threads: threads of torch.
    """

    def __init__(self, model: Path, *, threads: int) -> None:
        torch.set_num_threads(threads)
        self.commentator = Commentator.load(model)
        self.commentator.answer([CommentaryRequest(genres=(), seed=0), CommentaryRequest(genres=(), seed=1)])

    def answer(self, payloads: Sequence[bytes | str]) -> list[str]:
        """Answer a batch of requests in JSON with answers in JSON, as TorchServe's handler does."""
        answers = self.commentator.answer([CommentaryRequest.from_json(payload) for payload in payloads])
        return [encode_answer(each) for each in answers]
