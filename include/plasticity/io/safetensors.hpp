#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "plasticity/config.h"

/// Named tensors in files, in the safetensors format: 8 bytes length of the header (little-endian), a JSON
/// header with the type, shape and place of every tensor, then their data, row-major and little-endian.
namespace plasticity::io {

/// Element types that are read and written: F64, F32, F16, BF16, I64, I32, U8 and BOOL (a byte, 0 or 1).
enum class DType { f64, f32, f16, bf16, i64, i32, u8, boolean };

/// The name of a type as it stands in a file: "F32", "BF16", … ("unknown" for a value outside of the
/// enumeration).
PLASTICITY_API std::string_view to_string(DType dtype);

/// Bytes of one element: 8, 4, 2 or 1 (0 for a value outside of the enumeration).
PLASTICITY_API std::size_t element_bytes(DType dtype);

/// A dense tensor, row-major: `data` is the product of `shape` times element_bytes(dtype) long. A scalar has
/// the empty shape; a dimension may be 0. Comparison is by bits, so that equal NaNs are equal and 0.0 is not
/// -0.0.
struct Tensor {
  DType dtype = DType::f32;                        ///< of its elements
  std::vector<std::int64_t> shape;                 ///< empty: a scalar
  std::vector<std::byte> data;                     ///< its elements, row-major
  bool operator==(const Tensor&) const = default;  ///< by bits
};

/// @{
/// A tensor with a copy of `values`, row-major, of the matching type: F64, F32, I64, I32, U8.
/// Throws Error(invalid_argument) when `values` is not as long as the product of `shape`.
PLASTICITY_API Tensor make_tensor(std::vector<std::int64_t> shape, std::span<const double> values);
PLASTICITY_API Tensor make_tensor(std::vector<std::int64_t> shape, std::span<const float> values);
PLASTICITY_API Tensor make_tensor(std::vector<std::int64_t> shape, std::span<const std::int64_t> values);
PLASTICITY_API Tensor make_tensor(std::vector<std::int64_t> shape, std::span<const std::int32_t> values);
PLASTICITY_API Tensor make_tensor(std::vector<std::int64_t> shape, std::span<const std::uint8_t> values);
/// @}

/// The number of elements, the product of the shape (1 for a scalar).
/// Throws Error(invalid_argument) when a dimension is negative, or when the product has no place in 64 bits.
PLASTICITY_API std::int64_t elements(const Tensor& tensor);

/// @{
/// The values, converted from any type. Every type but I64 is exact in double; float rounds F64, I64 and I32
/// to nearest (too large a F64 becomes infinite). BOOL gives 0 or 1, where any byte but 0 counts as 1. NaNs
/// stay NaNs. Throws Error(invalid_argument) when `data` does not have the length that shape and type demand.
PLASTICITY_API std::vector<double> to_doubles(const Tensor& tensor);
PLASTICITY_API std::vector<float> to_floats(const Tensor& tensor);
/// @}

/// The content of one file.
struct PLASTICITY_API TensorFile {
  std::map<std::string, Tensor> tensors;        ///< by name
  std::map<std::string, std::string> metadata;  ///< free text, the `__metadata__` of the format
  std::string source;  ///< the path it was loaded from, for messages; not part of a file

  /// Whether there is a tensor of that name.
  bool contains(const std::string& name) const { return tensors.contains(name); }

  /// The tensor of that name. Throws Error(format), with the names that there are, when there is none.
  const Tensor& at(const std::string& name) const;

  /// The same tensors and the same metadata, bit for bit; `source` does not count.
  bool operator==(const TensorFile& other) const {
    return tensors == other.tensors && metadata == other.metadata;
  }
};

/// Reads a whole file. A file is taken only if everything about it is in order: header of at most 100 MB, no
/// key twice, no field that the format does not know, tensors that fill the data without holes, overlaps or
/// bytes left over. Memory in use is that of the file and its header, whatever the header says. Throws Error:
/// io (cannot be read), format (not a valid file), unsupported (a type of the format that is not read here,
/// such as F8_E4M3), out_of_memory. The message names the file, and the tensor where there is one.
PLASTICITY_API TensorFile load(const std::filesystem::path& path);

/// Writes a file, so that load() gives back the same bits. The same content gives the same bytes: tensors lie
/// by element size (large first, so that each is aligned), then by name; the data starts at a multiple of 64
/// bytes. The file is there completely or not at all: a reader, a crash or an error sees the old file, if
/// there was one. Throws Error: invalid_argument (a tensor whose shape does not match its data; a name or
/// metadata that is not UTF-8; the name `__metadata__`; more than 100 MB of header), io (cannot be written),
/// out_of_memory.
PLASTICITY_API void save(const std::filesystem::path& path, const TensorFile& file);

}  // namespace plasticity::io
