#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "plasticity/io/safetensors.hpp"

namespace plasticity::io {

constexpr std::uint64_t header_limit = 100'000'000;  // bytes, as in the format's reference implementation

/// The header entry of one tensor. `begin` and `end` are byte offsets in the data.
struct Entry {
  std::string name;
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;
  std::uint64_t begin = 0, end = 0;
};

struct Header {
  std::vector<Entry> entries;
  std::map<std::string, std::string> metadata;
};

/// Returns `file: tensor "name"`, for messages.
std::string tensor_in(const std::string& file, std::string_view name);

/// Returns "[2,3]", for messages.
std::string shape_text(const std::vector<std::int64_t>& shape);

/// Returns the size in bytes of a tensor. Returns -1 for a shape with a negative dimension, or if the product
/// overflows 64 bits. In that check a dimension of 0 counts as 1, so the result does not depend on the order
/// of the dimensions.
std::int64_t tensor_bytes(DType dtype, const std::vector<std::int64_t>& shape);

/// Parses the JSON text of a header. Checks that every entry has a type, a shape, and offsets that match
/// them. The entries keep the order of the text. Throws Error(format | unsupported).
Header parse_header(std::string_view json, const std::string& file);

/// Sorts the entries by offset. Throws Error(format) unless they fill `data_bytes` bytes without gaps or
/// overlaps.
void check_layout(std::vector<Entry>& entries, std::uint64_t data_bytes, const std::string& file);

/// Returns the JSON text of a header without padding. Throws Error(invalid_argument) for text that is not
/// UTF-8.
std::string header_text(const Header& header, const std::string& file);

}  // namespace plasticity::io
