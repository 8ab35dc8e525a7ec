// Invalid safetensors files, each with a part of the message of its error.
#include "io/wire.hpp"
#include "io/wrong_files.hpp"
#include "plasticity/io/safetensors.hpp"

namespace plasticity::testing {
namespace {

std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return '"' + name + R"(":{"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets +
         '}';
}

/// Files of one tensor "w" with 4 bytes of data and the given shape, offsets or type.
std::string with_shape(const std::string& shape) {
  return safetensors('{' + entry("w", "\"F32\"", shape, "[0,4]") + '}', "data");
}
std::string with_offsets(const std::string& offsets) {
  return safetensors('{' + entry("w", "\"F32\"", "[1]", offsets) + '}', "data");
}
std::string with_dtype(const std::string& dtype) {
  return safetensors('{' + entry("w", dtype, "[1]", "[0,4]") + '}', "data");
}
std::string two(const std::string& first, const std::string& second, const std::string& data) {
  return safetensors(
      '{' + entry("a", "\"U8\"", "[4]", first) + ',' + entry("b", "\"U8\"", "[4]", second) + '}', data);
}
std::string repeated(const std::string& text, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) out += text;
  return out;
}

std::vector<InvalidFile> wrong_files() {
  const std::string w = entry("w", "\"F32\"", "[1]", "[0,4]");
  const std::string in_shape = "tensor \"w\": expected an array of integers from 0 to 2^63-1 as shape, got ";
  const std::string in_offsets =
      "tensor \"w\": expected an array of two integers from 0 to 2^64-1 as data_offsets, got ";
  const std::string in_metadata = "__metadata__: expected ";
  return {
      {"empty", "", "at least 8 bytes, got 0 bytes"},
      {"seven_bytes", "1234567", "at least 8 bytes, got 7 bytes"},
      {"header_beyond_the_file", little_endian(std::uint64_t{3}) + "{}",
       "within the 10 bytes of the file, got a length of 3"},
      {"header_too_large", little_endian(std::uint64_t{100'000'001}) + "{}",
       "at most 100000000 bytes, got 100000001"},
      {"header_of_2_to_64", std::string(8, '\xff') + "{}",
       "at most 100000000 bytes, got 18446744073709551615"},
      {"no_header", safetensors(""), "a header that starts with '{', got \"\""},
      {"text", "this is a text and not a file of tensors", "at most 100000000 bytes"},
      {"array", safetensors("[]"), "a header that starts with '{', got \"[]\""},
      {"space_before", safetensors(" {}"), "a header that starts with '{'"},
      {"byte_order_mark", safetensors("\xef\xbb\xbf{}"), "a header that starts with '{', got \"???{}\""},
      {"cut_off_json", safetensors("{\"w\":"), "a header in JSON, got an error at byte 6"},
      {"text_after_json", safetensors("{} x"), "a header in JSON, got an error at byte 4"},
      {"zeros_after_json", safetensors(std::string("{}\0\0", 4)), "a header in JSON, got a zero at byte 3"},
      {"two_objects", safetensors("{}{}"), "a header in JSON"},
      {"comma", safetensors('{' + w + ",}", "data"), "a header in JSON"},
      {"comment", safetensors("{/**/}"), "a header in JSON"},
      {"name_not_utf8", safetensors("{\"\xff\":1}"), "a header in JSON"},
      {"number_beyond_double", with_shape("[1e999]"), "a header in JSON"},
      {"tensor_twice", safetensors('{' + w + ',' + w + '}', "data"), "key \"w\" occurs twice"},
      {"tensor_twice_by_escape", safetensors('{' + w + R"(,"\u0077":1})", "data"), "key \"w\" occurs twice"},
      {"key_twice", safetensors(R"({"w":{"shape":[1],"shape":[1]}})"),
       "tensor \"w\": key \"shape\" occurs twice"},
      {"metadata_key_twice", safetensors(R"({"__metadata__":{"a":"1","a":"1"}})"),
       "__metadata__: key \"a\" occurs twice"},
      {"metadata_twice", safetensors(R"({"__metadata__":{},"__metadata__":{}})"),
       "key \"__metadata__\" occurs twice"},
      {"metadata_is_a_string", safetensors(R"({"__metadata__":"x"})"),
       in_metadata + "an object of strings, got the string \"x\""},
      {"metadata_number", safetensors(R"({"__metadata__":{"a":1}})"),
       "__metadata__ \"a\": expected a string, got 1"},
      {"metadata_null", safetensors(R"({"__metadata__":{"a":null}})"),
       "__metadata__ \"a\": expected a string, got null"},
      {"metadata_object", safetensors(R"({"__metadata__":{"a":{}}})"),
       "__metadata__ \"a\": expected a string, got an object"},
      {"tensor_is_a_number", safetensors(R"({"w":3})"), "tensor \"w\": expected an object, got 3"},
      {"tensor_is_an_array", safetensors(R"({"w":[]})"), "tensor \"w\": expected an object, got an array"},
      {"deep_arrays", safetensors("{\"w\":" + repeated("[", 200'000)),
       "tensor \"w\": expected an object, got an array"},
      {"deep_objects", safetensors(repeated("{\"shape\":", 200'000)),
       "tensor \"shape\": expected an array of integers from 0 to 2^63-1 as shape"},
      {"deep_shape", with_shape(repeated("[", 200'000)), in_shape + "an array"},
      {"no_dtype", safetensors(R"({"w":{"shape":[1],"data_offsets":[0,4]}})", "data"),
       "tensor \"w\": expected a dtype, got none"},
      {"no_shape", safetensors(R"({"w":{"dtype":"F32","data_offsets":[0,4]}})", "data"),
       "tensor \"w\": expected a shape, got none"},
      {"no_offsets", safetensors(R"({"w":{"dtype":"F32","shape":[1]}})", "data"),
       "tensor \"w\": expected data_offsets, got none"},
      {"another_key", safetensors(R"({"w":{"dtype":"F32","strides":[1]}})"),
       "keys dtype, shape and data_offsets only, got \"strides\""},
      {"dtype_number", with_dtype("32"), "tensor \"w\": expected a string as dtype, got 32"},
      {"dtype_null", with_dtype("null"), "tensor \"w\": expected a string as dtype, got null"},
      {"dtype_unknown", with_dtype("\"F33\""), "BOOL, got \"F33\""},
      {"dtype_small_letters", with_dtype("\"f32\""), "BOOL, got \"f32\""},
      {"dtype_not_read", with_dtype("\"F8_E4M3\""),
       "tensor \"w\": expected a dtype of F64 F32 F16 BF16 I64 I32 U8 BOOL, got \"F8_E4M3\"",
       ErrorCode::unsupported},
      {"shape_string", with_shape("\"1\""), in_shape + "the string \"1\""},
      {"shape_number", with_shape("1"), in_shape + "1"},
      {"shape_of_shapes", with_shape("[[1]]"), in_shape + "an array"},
      {"size_negative", with_shape("[-1]"), in_shape + "-1"},
      {"size_negative_zero", with_shape("[-0]"), in_shape + "-0"},
      {"size_fraction", with_shape("[1.0]"), in_shape + "1.0"},
      {"size_exponent", with_shape("[1e0]"), in_shape + "1e0"},
      {"size_true", with_shape("[true]"), in_shape + "true"},
      {"size_2_to_63", with_shape("[9223372036854775808]"), in_shape + "9223372036854775808"},
      {"size_2_to_64", with_shape("[18446744073709551616]"), in_shape + "18446744073709551616"},
      {"sizes_overflow", with_shape("[4294967296,4294967296]"),
       "tensor \"w\": expected a shape of less than 2^63 bytes"},
      {"sizes_wrap_to_4_bytes", with_shape("[4611686018427387905]"),
       "tensor \"w\": expected a shape of less than 2^63 bytes"},
      {"sizes_overflow_behind_0", with_shape("[0,4294967296,4294967296]"),
       "tensor \"w\": expected a shape of less than 2^63 bytes"},
      {"one_offset", with_offsets("[4]"), in_offsets + "1 numbers"},
      {"three_offsets", with_offsets("[0,4,4]"), in_offsets + "more"},
      {"offset_negative", with_offsets("[-4,0]"), in_offsets + "-4"},
      {"offset_fraction", with_offsets("[0,4.5]"), in_offsets + "4.5"},
      {"offset_2_to_64", with_offsets("[0,18446744073709551616]"), in_offsets + "18446744073709551616"},
      {"offset_object", with_offsets("{}"), in_offsets + "an object"},
      {"offsets_reversed", with_offsets("[4,0]"),
       "tensor \"w\": expected data_offsets in increasing order, got 4 before 0"},
      {"offsets_too_narrow", with_offsets("[0,3]"),
       "tensor \"w\": expected data_offsets that span the 4 bytes of its shape and dtype, got 3 bytes"},
      {"offsets_too_wide", with_offsets("[0,5]"),
       "tensor \"w\": expected data_offsets that span the 4 bytes of its shape and dtype, got 5 bytes"},
      {"offsets_for_a_0_size", with_shape("[0]"), "data_offsets that span the 0 bytes"},
      {"offsets_beyond_the_data", with_offsets("[4,8]"),
       "tensor \"w\": expected data within the 4 bytes of the file, got data_offsets up to 8"},
      {"offsets_near_2_to_64", with_offsets("[18446744073709551611,18446744073709551615]"),
       "got data_offsets up to 18446744073709551615"},
      {"data_cut_off", safetensors('{' + w + '}', "dat"),
       "tensor \"w\": expected data within the 3 bytes of the file"},
      {"overlap", two("[0,4]", "[2,6]", "sixsix"),
       "tensor \"b\": expected data from offset 4, got 2, an overlap"},
      {"same_place", two("[0,4]", "[0,4]", "four"),
       "tensor \"b\": expected data from offset 4, got 0, an overlap"},
      {"hole", two("[0,4]", "[6,10]", "ten bytes."),
       "tensor \"b\": expected data from offset 4, got 6, a gap"},
      {"hole_at_the_start", two("[1,5]", "[5,9]", "nine byte"),
       "tensor \"a\": expected data from offset 0, got 1, a gap"},
      {"bytes_left_over", safetensors('{' + w + '}', "data+"),
       "expected 4 bytes of tensors, got 5 bytes of data"},
      {"bytes_without_tensors", safetensors("{}", "x"), "expected 0 bytes of tensors, got 1 bytes of data"},
      {"name_with_control_characters", safetensors(R"({"\u001b[31m\n":1})"),
       "tensor \"?[31m?\": expected an object, got 1"},
      {"long_name", safetensors("{\"" + std::string(100'000, 'n') + "\":1}"),
       "nnn...\": expected an object, got 1"},
  };
}

class WrongSafetensors : public ::testing::TestWithParam<InvalidFile> {};

TEST_P(WrongSafetensors, IsRejected) {
  const TemporaryFolder folder;
  const auto path = folder / "wrong.safetensors";
  write_file(path, GetParam().bytes);
  const Error error = error_of([&] { io::load(path); });
  expect_error(error, GetParam().code, path.string() + ": ");
  expect_error(error, GetParam().code, GetParam().message);
  EXPECT_LT(std::string(error.what()).size(), 1000u);
}

INSTANTIATE_TEST_SUITE_P(Files, WrongSafetensors, ::testing::ValuesIn(wrong_files()), name_of);

}  // namespace
}  // namespace plasticity::testing
