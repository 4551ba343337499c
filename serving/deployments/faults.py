"""Errors of MLflow, which its command and its users expect, in place of ours."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import (
    INTERNAL_ERROR,
    INVALID_PARAMETER_VALUE,
    INVALID_STATE,
    RESOURCE_ALREADY_EXISTS,
    RESOURCE_DOES_NOT_EXIST,
    TEMPORARILY_UNAVAILABLE,
)

from serving.client import CommentaryError, RequestError, ServiceError, UnknownModelError
from serving.errors import PolicyError, RegistryError
from serving.promotion import NotSwitchedError


def invalid(message: str) -> MlflowException:
    """Return the error for a value that cannot be right."""
    return MlflowException(message, error_code=INVALID_PARAMETER_VALUE)


def missing(message: str) -> MlflowException:
    """Return the error for a name that nothing has."""
    return MlflowException(message, error_code=RESOURCE_DOES_NOT_EXIST)


def taken(message: str) -> MlflowException:
    """Return the error for a name that something has already."""
    return MlflowException(message, error_code=RESOURCE_ALREADY_EXISTS)


def wrong_state(message: str) -> MlflowException:
    """Return the error for a change that the present state does not allow."""
    return MlflowException(message, error_code=INVALID_STATE)


def unavailable(message: str) -> MlflowException:
    """Return the error for a gateway that cannot answer now."""
    return MlflowException(message, error_code=TEMPORARILY_UNAVAILABLE)


@contextlib.contextmanager
def mlflow_errors() -> Iterator[None]:
    """Translate errors of the registry and of the gateway's client.

    Raises:
        MlflowException: the block failed; the message is ours.
    """
    try:
        yield
    except UnknownModelError as fault:
        raise missing(str(fault)) from fault
    except (RequestError, PolicyError) as fault:
        raise invalid(str(fault)) from fault
    except ServiceError as fault:
        raise unavailable(str(fault)) from fault
    except NotSwitchedError as fault:
        raise wrong_state(str(fault)) from fault
    except (CommentaryError, RegistryError) as fault:
        raise MlflowException(str(fault), error_code=INTERNAL_ERROR) from fault
