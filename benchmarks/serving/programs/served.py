"""The engine as every other server than TorchServe calls it: the handlers package of the archive, on its model.

`handlers` is imported from the unpacked archive, which comes first on the path: all servers run the code that the
archive holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from handlers.commentary import Commentator
from handlers.contract import CommentaryRequest, encode_answer


class Served:
    """One worker's model.

    Args:
        model: folder of the unpacked archive.
        threads: of torch.
    """

    def __init__(self, model: Path, *, threads: int) -> None:
        torch.set_num_threads(threads)
        self.commentator = Commentator.load(model)
        self.commentator.answer([CommentaryRequest(genres=(), seed=0), CommentaryRequest(genres=(), seed=1)])

    def answer(self, payloads: Sequence[bytes | str]) -> list[str]:
        """Answers as JSON to requests as JSON; what TorchServe's handler does with a batch."""
        answers = self.commentator.answer([CommentaryRequest.from_json(payload) for payload in payloads])
        return [encode_answer(each) for each in answers]
