"""librdkafka's mock cluster as ctypes sees it: the library in the confluent-kafka wheel, and signatures."""

from __future__ import annotations

import ctypes
import functools
import importlib.machinery
import importlib.util
from ctypes import POINTER, c_char_p, c_int, c_int16, c_int32, c_int64, c_size_t, c_void_p
from typing import Any

from tidings.testing.errors import EmbeddedBrokerError


class ErrorDescription(ctypes.Structure):
    """One row of librdkafka's own table of errors."""

    _fields_ = (("code", c_int), ("name", c_char_p), ("text", c_char_p))


_Signature = tuple[Any, list[Any]]

CLIENT: dict[str, _Signature] = {
    "rd_kafka_err2str": (c_char_p, [c_int]),
    "rd_kafka_get_err_descs": (None, [POINTER(POINTER(ErrorDescription)), POINTER(c_size_t)]),
    "rd_kafka_conf_new": (c_void_p, []),
    "rd_kafka_conf_set": (c_int, [c_void_p, c_char_p, c_char_p, c_char_p, c_size_t]),
    "rd_kafka_conf_destroy": (None, [c_void_p]),
    "rd_kafka_new": (c_void_p, [c_int, c_void_p, c_char_p, c_size_t]),
    "rd_kafka_destroy": (None, [c_void_p]),
    "rd_kafka_mock_cluster_new": (c_void_p, [c_void_p, c_int]),
    "rd_kafka_mock_cluster_destroy": (None, [c_void_p]),
    "rd_kafka_mock_cluster_bootstraps": (c_char_p, [c_void_p]),
    "rd_kafka_mock_get_requests": (POINTER(c_void_p), [c_void_p, POINTER(c_size_t)]),
    "rd_kafka_mock_request_destroy_array": (None, [POINTER(c_void_p), c_size_t]),
    "rd_kafka_mock_request_api_key": (c_int16, [c_void_p]),
}

# What a test may call: the name without "rd_kafka_mock_", and what follows the cluster's own pointer.
# The functions with variable arguments are left out: ctypes cannot call them safely on every platform.
MOCK: dict[str, _Signature] = {
    "topic_create": (c_int, [c_char_p, c_int, c_int]),
    "topic_delete": (c_int, [c_char_p]),
    "topic_set_error": (None, [c_char_p, c_int]),
    "partition_delete_records": (c_int, [c_char_p, c_int32, c_int64]),
    "partition_set_leader": (c_int, [c_char_p, c_int32, c_int32]),
    "push_request_errors_array": (None, [c_int16, c_size_t, POINTER(c_int)]),
    "clear_request_errors": (None, [c_int16]),
    "broker_set_down": (c_int, [c_int32]),
    "broker_set_up": (c_int, [c_int32]),
    "broker_set_rtt": (c_int, [c_int32, c_int]),
    "broker_set_host_port": (None, [c_int32, c_char_p, c_int]),
    "coordinator_set": (c_int, [c_char_p, c_char_p, c_int32]),
    "set_controller_id": (None, [c_int32]),
    "group_initial_rebalance_delay_ms": (None, [c_int32]),
    "set_group_consumer_session_timeout_ms": (None, [c_int]),
    "set_group_consumer_heartbeat_interval_ms": (None, [c_int]),
    "start_request_tracking": (None, []),
    "clear_requests": (None, []),
}


def _extension() -> str:
    """Where confluent-kafka's compiled part is, without importing it: the import alone takes 40 to 90 ms."""
    package = importlib.util.find_spec("confluent_kafka")
    search = package.submodule_search_locations if package else None
    module = importlib.machinery.PathFinder.find_spec("cimpl", search) if search else None
    if module is None or module.origin is None:
        raise EmbeddedBrokerError("confluent-kafka is not installed, or has no compiled part")
    return module.origin


@functools.cache
def library() -> ctypes.CDLL:
    """Load librdkafka with the signatures above.

    The extension is opened, not librdkafka: a symbol is looked up in what the extension was linked to as
    well, so this finds the same copy that confluent-kafka uses, in a wheel or in a build against the system's
    librdkafka, on Linux and macOS. CDLL gives up the GIL in each call, which stopping a cluster needs.
    """
    path = _extension()
    try:
        lib = ctypes.CDLL(path)
        for name, (result, arguments) in CLIENT.items():
            function = getattr(lib, name)
            function.restype, function.argtypes = result, arguments
        for name, (result, arguments) in MOCK.items():
            function = getattr(lib, f"rd_kafka_mock_{name}")
            function.restype, function.argtypes = result, [c_void_p, *arguments]
    except (OSError, AttributeError) as error:
        raise EmbeddedBrokerError(f"this librdkafka has no usable mock cluster: {error}") from error
    return lib


@functools.cache
def error_codes() -> dict[str, int]:
    """Every error librdkafka knows, by name: ``{"_TRANSPORT": -195, "INVALID_RECORD": 87, ...}``."""
    rows, count = POINTER(ErrorDescription)(), c_size_t()
    library().rd_kafka_get_err_descs(ctypes.byref(rows), ctypes.byref(count))
    described = (rows[i] for i in range(count.value))
    return {row.name.decode(): row.code for row in described if row.name}
