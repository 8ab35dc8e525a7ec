#include <bit>
#include <cmath>
#include <cstring>

#include "io/messages.hpp"
#include "io/safetensors_header.hpp"
#include "plasticity/io/safetensors.hpp"

namespace plasticity::io {
namespace {

std::int64_t checked_bytes(DType dtype, const std::vector<std::int64_t>& shape) {
  if (element_bytes(dtype) == 0) bad_argument("tensor.dtype", "a DType", str_cat(static_cast<int>(dtype)));
  const std::int64_t bytes = tensor_bytes(dtype, shape);
  if (bytes < 0)
    bad_argument("tensor.shape", "no negative sizes and less than 2^63 bytes", shape_text(shape));
  return bytes;
}

template <class T>
Tensor tensor_of(DType dtype, std::vector<std::int64_t> shape, std::span<const T> values) {
  if (static_cast<std::uint64_t>(checked_bytes(dtype, shape)) != values.size_bytes()) {
    bad_argument("values", "one value per element of shape " + shape_text(shape), str_cat(values.size()));
  }
  Tensor tensor{dtype, std::move(shape), std::vector<std::byte>(values.size_bytes())};
  if (!values.empty()) std::memcpy(tensor.data.data(), values.data(), values.size_bytes());
  return tensor;
}

/// Converts IEEE binary16: 1 sign bit, 5 exponent bits, 10 mantissa bits.
float from_half(std::uint16_t bits) {
  const auto sign = static_cast<std::uint32_t>(bits & 0x8000u) << 16;
  const std::uint32_t exponent = (bits >> 10) & 31u, mantissa = bits & 0x3ffu;
  if (exponent == 0) {  // zero or subnormal: mantissa * 2^-24, a normal float
    return std::copysign(std::ldexp(static_cast<float>(mantissa), -24), sign != 0 ? -1.0f : 1.0f);
  }
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | mantissa << 13);
  return std::bit_cast<float>(sign | (exponent + 127 - 15) << 23 | mantissa << 13);
}

/// Converts bfloat16, the upper half of a float.
float from_bfloat(std::uint16_t bits) { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }

template <class Stored, class To, class Convert>
std::vector<To> convert_each(const Tensor& tensor, Convert convert) {
  std::vector<To> out(tensor.data.size() / sizeof(Stored));
  const std::byte* at = tensor.data.data();
  for (To& value : out) {
    Stored stored;
    std::memcpy(&stored, at, sizeof stored);
    at += sizeof stored;
    value = convert(stored);
  }
  return out;
}

template <class To>
std::vector<To> converted(const Tensor& tensor) {
  const std::int64_t bytes = checked_bytes(tensor.dtype, tensor.shape);
  if (static_cast<std::uint64_t>(bytes) != tensor.data.size()) {
    bad_argument("tensor.data", str_cat("the ", bytes, " bytes of its shape and dtype"),
                 str_cat(tensor.data.size()));
  }
  const auto cast = [](auto value) { return static_cast<To>(value); };
  switch (tensor.dtype) {
    case DType::f64: return convert_each<double, To>(tensor, cast);
    case DType::f32: return convert_each<float, To>(tensor, cast);
    case DType::f16: return convert_each<std::uint16_t, To>(tensor, from_half);
    case DType::bf16: return convert_each<std::uint16_t, To>(tensor, from_bfloat);
    case DType::i64: return convert_each<std::int64_t, To>(tensor, cast);
    case DType::i32: return convert_each<std::int32_t, To>(tensor, cast);
    case DType::u8: return convert_each<std::uint8_t, To>(tensor, cast);
    case DType::boolean:
      return convert_each<std::uint8_t, To>(tensor,
                                            [](std::uint8_t value) { return value != 0 ? To{1} : To{0}; });
  }
  return {};
}

}  // namespace

std::string_view to_string(DType dtype) {
  switch (dtype) {
    case DType::f64: return "F64";
    case DType::f32: return "F32";
    case DType::f16: return "F16";
    case DType::bf16: return "BF16";
    case DType::i64: return "I64";
    case DType::i32: return "I32";
    case DType::u8: return "U8";
    case DType::boolean: return "BOOL";
  }
  return "unknown";
}

std::size_t element_bytes(DType dtype) {
  switch (dtype) {
    case DType::f64:
    case DType::i64: return 8;
    case DType::f32:
    case DType::i32: return 4;
    case DType::f16:
    case DType::bf16: return 2;
    case DType::u8:
    case DType::boolean: return 1;
  }
  return 0;
}

Tensor make_tensor(std::vector<std::int64_t> shape, std::span<const double> values) {
  return tensor_of(DType::f64, std::move(shape), values);
}
Tensor make_tensor(std::vector<std::int64_t> shape, std::span<const float> values) {
  return tensor_of(DType::f32, std::move(shape), values);
}
Tensor make_tensor(std::vector<std::int64_t> shape, std::span<const std::int64_t> values) {
  return tensor_of(DType::i64, std::move(shape), values);
}
Tensor make_tensor(std::vector<std::int64_t> shape, std::span<const std::int32_t> values) {
  return tensor_of(DType::i32, std::move(shape), values);
}
Tensor make_tensor(std::vector<std::int64_t> shape, std::span<const std::uint8_t> values) {
  return tensor_of(DType::u8, std::move(shape), values);
}

std::int64_t elements(const Tensor& tensor) {
  return checked_bytes(tensor.dtype, tensor.shape) / static_cast<std::int64_t>(element_bytes(tensor.dtype));
}

std::vector<double> to_doubles(const Tensor& tensor) { return converted<double>(tensor); }
std::vector<float> to_floats(const Tensor& tensor) { return converted<float>(tensor); }

}  // namespace plasticity::io
