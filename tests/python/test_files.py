"""Files: values, types and memory, and wrong arguments."""
import mmap
import tracemalloc

import numpy
import pytest

import plasticity
from plasticity import _files
from plasticity._tensors import View


def test_files_keep_values_and_types(tmp_path):
    path = tmp_path / "a.safetensors"
    arrays = {"a": numpy.arange(6, dtype="f4").reshape(2, 3), "b": numpy.array([1, 2], "i8"), "c": numpy.zeros((0, 2)),
              "d": numpy.array([True, False])}
    plasticity.save_file(path, arrays, {"key": "värde"})
    tensors, metadata = plasticity.load_file(path)
    assert metadata == {"key": "värde"} and set(tensors) == set(arrays)
    for name, array in arrays.items():
        assert tensors[name].dtype == array.dtype and numpy.array_equal(tensors[name], array)
    with pytest.raises(plasticity.IOFailure):
        plasticity.load_file(tmp_path / "none.safetensors")
    path.write_bytes(b"nonsense")
    with pytest.raises(plasticity.FormatError):
        plasticity.load_file(path)


def test_a_file_is_loaded_with_one_copy_of_its_tensors(tmp_path, monkeypatch):
    arrays = {f"tensor {k}": numpy.full(1 << 20, k, "f4") for k in range(4)}
    plasticity.save_file(tmp_path / "a.safetensors", arrays, {})
    freed = []

    class Library:
        """The library, with a list of the tensors whose memory in the file is freed."""

        def __getattr__(self, name):
            return getattr(lib, name)

        def plasticity_file_set_tensor(self, file, name, tensor):
            freed.append(name.decode())
            return lib.plasticity_file_set_tensor(file, name, tensor)

    lib = _files.lib
    monkeypatch.setattr(_files, "lib", Library())
    tracemalloc.start()
    try:
        tensors, _ = plasticity.load_file(tmp_path / "a.safetensors")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert all(numpy.array_equal(tensors[name], array) for name, array in arrays.items())
    assert peak < 17 << 20 and sorted(freed) == sorted(arrays)


def test_bfloat16_of_a_file_is_read_as_float32(tmp_path):
    header = b'{"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}'
    (tmp_path / "a").write_bytes(len(header).to_bytes(8, "little") + header + b"\x80\x3f\x40\xc0")
    array = plasticity.load_file(tmp_path / "a")[0]["a"]
    assert array.dtype == numpy.float32 and array.tolist() == [1, -3]


def test_tensors_of_files_beyond_two_gigabytes():
    size = (1 << 31) + 8
    with mmap.mmap(-1, size) as memory:  # the system provides only pages that are used
        memory[-4:] = numpy.float32(3).tobytes()
        room = numpy.frombuffer(memory, "f4")
        array = _files._array_of(View("tensor", room).tensor)
        assert array.shape == (size // 4,) and array[-1] == 3
        del array, room


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda path: plasticity.load_file(None), "path: expected a str, bytes or os.PathLike, got NoneType"),
        (lambda path: plasticity.load_file("a\0b"), "path: expected one without NUL"),
        (lambda path: plasticity.save_file(None, {}), "path: expected a str, bytes or os.PathLike, got NoneType"),
        (lambda path: plasticity.save_file(path, [numpy.zeros(1)]), "tensors: expected a mapping of names, got list"),
        (lambda path: plasticity.save_file(path, {1: numpy.zeros(1)}), "tensors: expected names of UTF-8 without NUL, got 1"),
        (lambda path: plasticity.save_file(path, {"a\0": numpy.zeros(1)}), "tensors: expected names of UTF-8 without NUL, got"),
        (lambda path: plasticity.save_file(path, {}, ["a"]), "metadata: expected a mapping of names, got list"),
        (lambda path: plasticity.save_file(path, {}, {1: "a"}), "metadata: expected keys of UTF-8 without NUL, got 1"),
        (lambda path: plasticity.save_file(path, {}, {"a": "\0"}), r"metadata\['a'\]: expected a text of UTF-8 without NUL"),
    ],
)
def test_arguments_of_another_type(call, text, tmp_path):
    with pytest.raises(plasticity.InvalidArgument, match=text):
        call(tmp_path / "file")
    assert not list(tmp_path.iterdir())


def test_metadata_of_a_file_is_optional(tmp_path):
    plasticity.save_file(tmp_path / "a", {"a": numpy.ones(2)})
    tensors, metadata = plasticity.load_file(tmp_path / "a")
    assert tensors["a"].tolist() == [1, 1] and metadata == {}
