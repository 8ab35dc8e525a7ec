#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "plasticity/io/safetensors.hpp"

namespace plasticity::io {

constexpr std::uint64_t header_limit = 100'000'000;  // bytes, as in the format's reference implementation

/// What a header says of one tensor. `begin` and `end` count bytes from the start of the data.
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

/// `file: tensor "name"`, as messages call a tensor.
std::string tensor_in(const std::string& file, std::string_view name);

/// Bytes that a tensor of this shape takes; negative when the shape is not one: a dimension below zero, or a
/// product that does not fit in 64 bits. (Dimensions of 0 count as 1 in the latter, so that no order of
/// factors hides it.)
std::int64_t tensor_bytes(DType dtype, const std::vector<std::int64_t>& shape);

/// Reads the JSON text and checks all that can be checked without knowing the size of the data: entries in
/// the order of the text, every one with a type, a shape, and offsets that fit together. Throws Error(format
/// | unsupported).
Header parse_header(std::string_view json, const std::string& file);

/// Orders the entries by their place, and throws Error(format) unless they fill `data_bytes` bytes exactly.
void check_layout(std::vector<Entry>& entries, std::uint64_t data_bytes, const std::string& file);

/// The JSON text of a header, without padding. Throws Error(invalid_argument) for text that is not UTF-8.
std::string header_text(const Header& header, const std::string& file);

}  // namespace plasticity::io
