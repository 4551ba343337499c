"""Kinds of gRPC's method handlers: one message or a stream of them in, one or a stream out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import grpc

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


def kind_of(handler: Handler) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return the function of gRPC that makes a handler of the same kind, and what answers in this one.

    Raises:
        ValueError: nothing answers in the handler.
    """
    for make, answer in (
        (grpc.unary_unary_rpc_method_handler, handler.unary_unary),
        (grpc.unary_stream_rpc_method_handler, handler.unary_stream),
        (grpc.stream_unary_rpc_method_handler, handler.stream_unary),
        (grpc.stream_stream_rpc_method_handler, handler.stream_stream),
    ):
        if answer is not None:
            return make, answer
    raise ValueError("nothing answers in the handler")
