#pragma once

#include "plasticity/require_cxx20.hpp"  // first

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "plasticity/config.h"

/// Named tensors in files of the safetensors format. A file holds the header's length (8 bytes,
/// little-endian), a JSON header with the type, shape and data offsets of every tensor, and the data,
/// row-major and little-endian.
namespace plasticity::io {

/// The supported element types: F64, F32, F16, BF16, I64, I32, U8 and BOOL (one byte, 0 or 1).
enum class DType { f64, f32, f16, bf16, i64, i32, u8, boolean };

/// Returns the name of a type in a file, for example "F32". Returns "unknown" for any other value.
PLASTICITY_API std::string_view to_string(DType dtype);

/// Returns the size of an element in bytes: 8, 4, 2 or 1. Returns 0 for any other value.
PLASTICITY_API std::size_t element_bytes(DType dtype);

/// A dense row-major tensor. Its data has elements(tensor) * element_bytes(dtype) bytes. A scalar has an
/// empty shape. A dimension may be 0. Tensors are compared by bits: equal NaNs are equal, and 0.0 differs
/// from -0.0.
struct Tensor {
  DType dtype = DType::f32;                        ///< element type
  std::vector<std::int64_t> shape;                 ///< sizes of the dimensions; empty for a scalar
  std::vector<std::byte> data;                     ///< elements in row-major order
  bool operator==(const Tensor&) const = default;  ///< compares type, shape and bits
};

/// @{
/// Returns a tensor with a copy of `values` (row-major). The type is F64, F32, I64, I32 or U8, as the values.
/// Throws Error(invalid_argument) unless the number of values is the product of `shape`.
PLASTICITY_API Tensor make_tensor(std::vector<std::int64_t> shape, std::span<const double> values);
PLASTICITY_API Tensor make_tensor(std::vector<std::int64_t> shape, std::span<const float> values);
PLASTICITY_API Tensor make_tensor(std::vector<std::int64_t> shape, std::span<const std::int64_t> values);
PLASTICITY_API Tensor make_tensor(std::vector<std::int64_t> shape, std::span<const std::int32_t> values);
PLASTICITY_API Tensor make_tensor(std::vector<std::int64_t> shape, std::span<const std::uint8_t> values);
/// @}

/// Returns the number of elements, the product of the shape (1 for a scalar). Throws Error(invalid_argument)
/// if a dimension is negative or the size in bytes overflows 64 bits.
PLASTICITY_API std::int64_t elements(const Tensor& tensor);

/// @{
/// Returns the values, converted from any type. The conversion to double is exact except for I64. The
/// conversion to float rounds F64, I64 and I32 to nearest; an F64 out of range becomes infinite. A BOOL
/// becomes 0 or 1; any byte except 0 counts as 1. NaNs stay NaNs. Throws Error(invalid_argument) if the size
/// of `data` does not match the shape and type.
PLASTICITY_API std::vector<double> to_doubles(const Tensor& tensor);
PLASTICITY_API std::vector<float> to_floats(const Tensor& tensor);
/// @}

/// The content of one file.
struct PLASTICITY_API TensorFile {
  std::map<std::string, Tensor> tensors;        ///< by name
  std::map<std::string, std::string> metadata;  ///< text by key, `__metadata__` in the format
  std::string source;                           ///< path that the file was loaded from, for messages

  /// Returns whether the file has a tensor `name`.
  bool contains(const std::string& name) const { return tensors.contains(name); }

  /// Returns the tensor `name`. Throws Error(format) if there is none; the message lists the existing names.
  const Tensor& at(const std::string& name) const;

  /// Compares tensors and metadata by bits; ignores `source`.
  bool operator==(const TensorFile& other) const {
    return tensors == other.tensors && metadata == other.metadata;
  }
};

/// Reads a whole file. Accepts only valid files: the header has at most 100 MB, no key occurs twice, every
/// field is known, and the tensors fill the data without gaps, overlaps or extra bytes. Memory use is bounded
/// by the size of the file, whatever the header says. Throws Error(io) if the file cannot be read,
/// Error(format) if it is not valid, Error(unsupported) for an element type that DType lacks, such as
/// F8_E4M3, and Error(out_of_memory). The message names the file, and the tensor if the error is in one.
PLASTICITY_API TensorFile load(const std::filesystem::path& path);

/// Writes a file; load() returns the same bits. Equal contents produce equal files: tensors are sorted by
/// element size (largest first, so each is aligned), then by name, and the data starts at a multiple of 64
/// bytes. The write is atomic: until it is complete, and after a crash or an error, `path` holds the old
/// file, if any. Throws Error(invalid_argument) for a tensor whose shape does not match its data, a name or
/// metadata that is not UTF-8, the tensor name `__metadata__`, or a header above 100 MB. Throws Error(io) if
/// the file cannot be written, and Error(out_of_memory).
PLASTICITY_API void save(const std::filesystem::path& path, const TensorFile& file);

}  // namespace plasticity::io
