"""The library's errors as exceptions. The text is the library's own."""
from . import _c


class Error(Exception):
    """The base of the library's exceptions. `status` is the name of the error in C, for example "invalid_argument"."""

    status = "internal"


class InvalidArgument(Error, ValueError):
    """An argument has a wrong value, shape, type, device or layout."""

    status = "invalid_argument"


class InvalidSpec(Error, ValueError):
    """The equations do not define a field of a Spec, or its combination with others."""

    status = "invalid_spec"


class FormatError(Error, ValueError):
    """The content of a file is not as expected."""

    status = "format"


class OutOfMemory(Error, MemoryError):
    """The host or a device has not enough memory."""

    status = "out_of_memory"


class Unsupported(Error, RuntimeError):
    """A valid request that this build or device does not support."""

    status = "unsupported"


class DeviceUnavailable(Error, RuntimeError):
    """The device does not exist, or its library could not be loaded."""

    status = "device_unavailable"


class IOFailure(Error, RuntimeError):
    """A file could not be read or written."""

    status = "io"


class CommunicationError(Error, RuntimeError):
    """Another process failed, or did not answer within the time limit."""

    status = "communication"


class InternalError(Error, RuntimeError):
    """A bug in the library."""

    status = "internal"


_EXCEPTIONS = {
    exception.status: exception
    for exception in (
        InvalidArgument, InvalidSpec, FormatError, OutOfMemory, Unsupported, DeviceUnavailable, IOFailure,
        CommunicationError, InternalError,
    )
}


def error_of(status, message):
    """The exception for a status of the C interface that is not OK."""
    name = _c.STATUS[status].lower() if 0 <= status < len(_c.STATUS) else "internal"
    return _EXCEPTIONS.get(name, InternalError)(message)


def bad_argument(name, expected, got):
    """The exception for a wrong argument, in the library's form."""
    return InvalidArgument(f"{name}: expected {expected}, got {got}")
