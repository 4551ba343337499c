"""Reflection of the gateway's services, by which grpcurl and others learn their messages.

The messages of the Open Inference Protocol are in a descriptor pool of their own (`serving.oip`), and a reflection
reads one pool. So the descriptors of all services are copied into one.
"""

from __future__ import annotations

from collections.abc import Iterable

import grpc
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from serving.oip import open_inference_pb2
from serving.v1 import commentary_pb2


def enable_reflection(server: grpc.aio.Server) -> None:
    """Let a server answer questions about all services of the gateway."""
    files = tuple(module.DESCRIPTOR for module in (commentary_pb2, open_inference_pb2, health_pb2, reflection_pb2))
    names = [service.full_name for each in files for service in each.services_by_name.values()]
    reflection.enable_server_reflection(names, server, pool_of(files))


def pool_of(files: Iterable[FileDescriptor]) -> DescriptorPool:
    """Return a pool with copies of some files, which must not depend on others."""
    pool = DescriptorPool()
    for each in files:
        pool.AddSerializedFile(each.serialized_pb)
    return pool
