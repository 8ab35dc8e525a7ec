#include "plasticity/io/safetensors.hpp"

#include <sys/stat.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "io/wire.hpp"
#include "io/wrong_files.hpp"

namespace plasticity::testing {
namespace {

using io::DType;
using io::Tensor;
using io::TensorFile;

std::vector<std::byte> bytes_of(const std::string& text) {
  std::vector<std::byte> out(text.size());
  std::memcpy(out.data(), text.data(), text.size());
  return out;
}

template <class T>
Tensor tensor(std::vector<std::int64_t> shape, const std::vector<T>& values) {
  return io::make_tensor(std::move(shape), std::span<const T>(values));
}

/// All types, shapes with and without elements, and values that any conversion would change.
TensorFile every_type() {
  TensorFile file;
  const auto signalling = std::bit_cast<float>(0x7fa12345u), payload = std::bit_cast<float>(0xffc54321u);
  file.tensors["floats"] = tensor<float>(
      {2, 3}, {1.0f, -0.0f, signalling, payload, std::numeric_limits<float>::denorm_min(), -INFINITY});
  file.tensors["doubles"] = tensor<double>({2}, {0.1, std::bit_cast<double>(0x7ff0dead0000beefull)});
  file.tensors["scalar"] = tensor<std::int64_t>({}, {INT64_MIN});
  file.tensors["ints"] = tensor<std::int32_t>({1, 1, 2}, {INT32_MIN, 7});
  file.tensors["bytes"] = tensor<std::uint8_t>({3}, {0, 128, 255});
  file.tensors["empty"] = tensor<float>({3, 0, 5}, {});
  file.tensors["half"] = {DType::f16, {2}, bytes_of(std::string("\x01\x7c\x00\x80", 4))};
  file.tensors["brain"] = {DType::bf16, {1}, bytes_of("\x81\x7f")};
  file.tensors["mask"] = {DType::boolean, {3}, bytes_of(std::string("\0\1\2", 3))};
  file.tensors[""] = tensor<std::uint8_t>({0}, {});
  file.tensors["a \"quoted\"\n \xc3\xbc name"] = tensor<std::uint8_t>({1}, {1});
  file.metadata = {{"format", "pt"},
                   {"someone else's", "{\"json\": [1]}"},
                   {"", ""},
                   {"\xc3\xa9", "\t\x01\xf0\x9f\x8c\xb1"}};
  return file;
}

TEST(Safetensors, RoundTripKeepsAllBits) {
  const TemporaryFolder folder;
  const auto path = folder / "all.safetensors";
  const TensorFile file = every_type();
  io::save(path, file);
  const TensorFile back = io::load(path);
  EXPECT_TRUE(back == file);
  EXPECT_EQ(back.tensors, file.tensors);
  EXPECT_EQ(back.metadata, file.metadata);
  EXPECT_EQ(back.source, path.string());
  EXPECT_EQ(folder.names().size(), 1u);

  io::save(folder / "again.safetensors", back);
  EXPECT_EQ(read_file(folder / "again.safetensors"), read_file(path));
}

TEST(Safetensors, RoundTripOfAnEmptyFile) {
  const TemporaryFolder folder;
  io::save(folder / "none", TensorFile());
  EXPECT_TRUE(io::load(folder / "none") == TensorFile());
  EXPECT_EQ(read_file(folder / "none").size(), 64u);
}

TEST(Safetensors, DataIsAlignedAndOrdered) {
  const TemporaryFolder folder;
  for (std::size_t length = 0; length < 130; ++length) {
    TensorFile file;
    file.tensors["a_byte"] = tensor<std::uint8_t>({1}, {9});
    file.tensors["z_double"] = tensor<double>({1}, {1.0});
    file.tensors["f_float"] = tensor<float>({1}, {2.0f});
    file.metadata["x"] = std::string(length, 'x');
    io::save(folder / "file", file);
    const std::string bytes = read_file(folder / "file");
    std::uint64_t header = 0;
    std::memcpy(&header, bytes.data(), sizeof header);
    ASSERT_EQ((8 + header) % 64, 0u) << length;
    ASSERT_EQ(bytes.size(), 8 + header + 13);
    double first = 0;
    float second = 0;
    std::memcpy(&first, bytes.data() + 8 + header, sizeof first);
    std::memcpy(&second, bytes.data() + 8 + header + 8, sizeof second);
    EXPECT_EQ(first, 1.0);
    EXPECT_EQ(second, 2.0f);
    EXPECT_EQ(bytes.back(), 9);
  }
}

TEST(Safetensors, ManyTensors) {
  const TemporaryFolder folder;
  TensorFile file;
  for (int i = 0; i < 3000; ++i) {
    file.tensors["layer." + std::to_string(i)] =
        tensor<float>({i % 3, 2}, std::vector<float>(std::size_t(i) % 3 * 2, 0.5f));
  }
  io::save(folder / "many", file);
  EXPECT_TRUE(io::load(folder / "many") == file);
}

TEST(Safetensors, TensorsOfOneSizeAreSortedByName) {
  const TemporaryFolder folder;
  TensorFile file;
  std::string expected;
  for (char name = '!'; name <= '~'; ++name) {
    file.tensors[{name}] = tensor<std::uint8_t>({1}, {static_cast<std::uint8_t>(name)});
    expected += name;
  }
  file.tensors["x float"] = tensor<float>({1}, {1.0f});
  io::save(folder / "file", file);
  EXPECT_TRUE(read_file(folder / "file").ends_with(expected));
}

// Written by the format's reference implementation (safetensors 0.8.0 for Python).
TEST(Safetensors, ReadsAFileOfTheReferenceImplementation) {
  const std::string header =
      R"({"__metadata__":{"über":"naïve \"quoted\"","format":"np"},"long":{"dtype":"I64","shape":[],"data_offsets":[0,8]},)"
      R"("double":{"dtype":"F64","shape":[1],"data_offsets":[8,16]},"weights":{"dtype":"F32","shape":[2,3],)"
      R"("data_offsets":[16,40]},"int":{"dtype":"I32","shape":[2],"data_offsets":[40,48]},"brain":{"dtype":"BF16",)"
      R"("shape":[2],"data_offsets":[48,52]},"half":{"dtype":"F16","shape":[3],"data_offsets":[52,58]},)"
      R"("byte":{"dtype":"U8","shape":[0,4],"data_offsets":[58,58]},"mask":{"dtype":"BOOL","shape":[3],)"
      R"("data_offsets":[58,61]}}      )";
  const unsigned char data[] = {0xfb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x9a, 0x99, 0x99, 0x99, 0x99,
                                0x99, 0xb9, 0x3f, 0,    0,    0x80, 0x3f, 0,    0,    0,    0xc0, 0,    0,
                                0x60, 0x40, 0,    0,    0,    0,    0,    0,    0,    0x80, 0,    0,    0x80,
                                0x7f, 7,    0,    0,    0,    0xf9, 0xff, 0xff, 0xff, 0xc0, 0x3f, 0x40, 0xc0,
                                0,    0x3e, 0xff, 0xfb, 1,    0,    1,    0,    1};
  ASSERT_EQ(header.size(), 0x218u);
  const TemporaryFolder folder;
  write_file(folder / "ref",
             safetensors(header, std::string(reinterpret_cast<const char*>(data), sizeof data)));
  const TensorFile file = io::load(folder / "ref");
  EXPECT_EQ(file.tensors.size(), 8u);
  EXPECT_EQ(io::to_doubles(file.at("long")), (std::vector<double>{-5}));
  EXPECT_EQ(io::to_doubles(file.at("double")), (std::vector<double>{0.1}));
  EXPECT_EQ(file.at("weights").shape, (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(io::to_floats(file.at("weights")), (std::vector<float>{1, -2, 3.5f, 0, -0.0f, INFINITY}));
  EXPECT_EQ(io::to_floats(file.at("int")), (std::vector<float>{7, -7}));
  EXPECT_EQ(io::to_floats(file.at("brain")), (std::vector<float>{1.5f, -3}));
  EXPECT_EQ(io::to_floats(file.at("half")), (std::vector<float>{1.5f, -65504, std::ldexp(1.0f, -24)}));
  EXPECT_EQ(io::elements(file.at("byte")), 0);
  EXPECT_EQ(io::to_floats(file.at("mask")), (std::vector<float>{1, 0, 1}));
  EXPECT_EQ(file.metadata.at("über"), "naïve \"quoted\"");
}

TEST(Safetensors, MissingTensorErrorListsTheExistingNames) {
  const TemporaryFolder folder;
  io::save(folder / "file", every_type());
  const TensorFile file = io::load(folder / "file");
  EXPECT_TRUE(file.contains("floats"));
  EXPECT_FALSE(file.contains("float"));
  EXPECT_EQ(&file.at("floats"), &file.tensors.at("floats"));
  const Error error = error_of([&] { file.at("w_in"); });
  expect_error(error, ErrorCode::format,
               (folder / "file").string() + ": tensor \"w_in\": not found; the file has ");
  expect_error(error, ErrorCode::format, "brain, bytes, doubles, empty, floats, half");
  expect_error(error_of([] { TensorFile().at("w"); }), ErrorCode::format,
               "tensor \"w\": not found; the file has no tensors");
}

TEST(Safetensors, ConvertsAllHalfValues) {
  Tensor tensor{DType::f16, {65536}, {}};
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    tensor.data.push_back(std::byte(bits & 0xff));
    tensor.data.push_back(std::byte(bits >> 8));
  }
  const auto floats = io::to_floats(tensor);
  const auto doubles = io::to_doubles(tensor);
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
    double expected = exponent == 31  ? (mantissa != 0 ? NAN : INFINITY)
                      : exponent == 0 ? std::ldexp(mantissa, -24)
                                      : std::ldexp(1024 + mantissa, exponent - 25);
    if (bits >> 15) expected = -expected;
    const float value = floats[bits];
    ASSERT_EQ(std::isnan(value), std::isnan(expected)) << bits;
    ASSERT_EQ(std::signbit(value), (bits >> 15) != 0) << bits;
    if (!std::isnan(expected)) {
      ASSERT_EQ(static_cast<double>(value), expected) << bits;
      ASSERT_EQ(doubles[bits], expected) << bits;
    }
  }
}

TEST(Safetensors, ConvertsAllBfloatValues) {
  Tensor tensor{DType::bf16, {65536}, {}};
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    tensor.data.push_back(std::byte(bits & 0xff));
    tensor.data.push_back(std::byte(bits >> 8));
  }
  const auto floats = io::to_floats(tensor);
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    ASSERT_EQ(std::bit_cast<std::uint32_t>(floats[bits]), bits << 16);
  }
}

TEST(Safetensors, Conversions) {
  EXPECT_EQ(io::to_doubles(tensor<std::int64_t>({2}, {1ll << 53, -3})),
            (std::vector<double>{9007199254740992.0, -3}));
  EXPECT_EQ(io::to_floats(tensor<std::int32_t>({1}, {16777217})), (std::vector<float>{16777216.0f}));
  EXPECT_EQ(io::to_floats(tensor<std::uint8_t>({2}, {0, 255})), (std::vector<float>{0, 255}));
  EXPECT_EQ(io::to_floats(tensor<double>({3}, {0.1, 1e300, -1e-300})),
            (std::vector<float>{0.1f, INFINITY, -0.0f}));
  EXPECT_EQ(io::to_floats(Tensor{DType::boolean, {2}, bytes_of(std::string("\0\7", 2))}),
            (std::vector<float>{0, 1}));
  EXPECT_TRUE(io::to_doubles(tensor<float>({4, 0}, {})).empty());
  EXPECT_EQ(io::elements(tensor<float>({4, 0}, {})), 0);
  EXPECT_EQ(io::elements(tensor<float>({}, {1})), 1);
  EXPECT_EQ(io::to_string(DType::bf16), "BF16");
  EXPECT_EQ(io::element_bytes(DType::boolean), 1u);
}

TEST(Safetensors, RejectsWrongArguments) {
  const auto code = ErrorCode::invalid_argument;
  const auto wrong_length = [] { tensor<float>({2, 3}, std::vector<float>(5)); };
  const auto to_floats = [](Tensor tensor) {
    return [tensor = std::move(tensor)] { io::to_floats(tensor); };
  };
  expect_error(error_of(wrong_length), code, "values: expected one value per element of shape [2,3], got 5");
  expect_error(error_of([] { io::elements({DType::f32, {2, -1}, {}}); }), code, "got [2,-1]");
  expect_error(error_of([] {
                 io::elements({DType::f32, {1ll << 40, 1ll << 40}, {}});
               }),
               code, "less than 2^63 bytes");
  expect_error(error_of([] {
                 io::elements({static_cast<DType>(99), {}, {}});
               }),
               code, "tensor.dtype: expected a DType");
  expect_error(error_of(to_floats({DType::f32, {2}, {}})), code, "tensor.data: expected the 8 bytes");
  expect_error(error_of(to_floats({static_cast<DType>(-1), {2}, {}})), code, "expected a DType, got -1");
}

TEST(Safetensors, SaveRejectsInvalidFiles) {
  const TemporaryFolder folder;
  const auto path = folder / "file";
  const auto error = [&](const std::string& name, Tensor tensor,
                         std::map<std::string, std::string> metadata = {}) {
    const Error thrown = error_of([&] {
      io::save(path, {{{name, std::move(tensor)}}, std::move(metadata), {}});
    });
    expect_error(thrown, ErrorCode::invalid_argument, path.string());
    return thrown;
  };
  const auto code = ErrorCode::invalid_argument;
  const Tensor good = tensor<float>({1}, {1});
  expect_error(error("w", {DType::f32, {3}, {}}), code,
               "tensor \"w\": expected the 12 bytes of its shape and dtype, got 0");
  expect_error(error("w", {DType::f32, {-1}, {}}), code, "without negative sizes");
  expect_error(error("w", {DType::f32, {0, INT64_MAX}, {}}), code, "below 2^63 bytes");
  expect_error(error("w", {static_cast<DType>(42), {0}, {}}), code, "expected a DType, got 42");
  expect_error(error("__metadata__", good), code, "this name is reserved for the metadata");
  expect_error(error("w\xff", good), code, "tensor \"w?\": expected text in UTF-8");
  expect_error(error("w", good, {{"\xc3", ""}}), code, "__metadata__: expected text in UTF-8");
  expect_error(error("w", good, {{"key", "\x80"}}), code, "__metadata__ \"key\": expected text in UTF-8");
  expect_error(error("w", good, {{"key", std::string(100'000'000, 'x')}}), code, "at most 100000000 bytes");
  EXPECT_TRUE(folder.names().empty());
}

TEST(Safetensors, UnreadableFilesThrow) {
  const TemporaryFolder folder;
  const auto load = [](const std::filesystem::path& path) { return [path] { io::load(path); }; };
  expect_error(error_of(load(folder / "none")), ErrorCode::io,
               (folder / "none").string() + ": cannot open it");
  expect_error(error_of(load(folder / "")), ErrorCode::io, "expected a regular file");
  expect_error(error_of(load("/dev/zero")), ErrorCode::io, "/dev/zero: expected a regular file");
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  expect_error(error_of(load(folder / "pipe")), ErrorCode::io, "expected a regular file");
}

TEST(Safetensors, UnwritableFilesThrow) {
  const TemporaryFolder folder;
  const auto save = [](const std::filesystem::path& path) {
    return [path] { io::save(path, every_type()); };
  };
  expect_error(error_of(save(folder / "no/file")), ErrorCode::io,
               (folder / "no/file").string() + ": cannot create a file in its folder");
  expect_error(error_of(save(folder / "")), ErrorCode::io, "a path without a file name");
  expect_error(error_of(save("")), ErrorCode::io, "a path without a file name");
  std::filesystem::create_directory(folder / "folder");
  expect_error(error_of(save(folder / "folder")), ErrorCode::io, "expected a regular file or no file");
  // A pipe, not a device: if the check failed, root would replace a device.
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  expect_error(error_of(save(folder / "pipe")), ErrorCode::io, "pipe: expected a regular file or no file");
  EXPECT_TRUE(std::filesystem::is_fifo(folder / "pipe"));
}

TEST(Safetensors, FailedSaveKeepsTheOldFile) {
  const TemporaryFolder folder;
  const auto path = folder / "file";
  io::save(path, every_type());
  const std::string before = read_file(path);
  {
    TensorFile larger = every_type();
    larger.tensors["more"] = tensor<double>({10000}, std::vector<double>(10000));
    const FullDisk disk(20000);
    expect_error(error_of([&] { io::save(path, larger); }), ErrorCode::io,
                 path.string() + ": cannot write to it: ");
  }
  EXPECT_EQ(read_file(path), before);
  EXPECT_EQ(folder.names(), std::vector<std::string>{"file"});
}

TEST(Safetensors, SaveKeepsPermissionsAndFollowsLinks) {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "there");
  write_file(folder / "there/file", "old");
  ASSERT_EQ(::chmod((folder / "there/file").c_str(), 0640), 0);
  std::filesystem::create_symlink("there/file", folder / "link");
  io::save(folder / "link", every_type());
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "link"));
  EXPECT_TRUE(io::load(folder / "there/file") == every_type());
  struct stat status {};
  ASSERT_EQ(::stat((folder / "there/file").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0640u);

  std::filesystem::create_symlink("there/new", folder / "dangling");
  io::save(folder / "dangling", every_type());
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "dangling"));
  EXPECT_TRUE(io::load(folder / "there/new") == every_type());
}

TEST(Safetensors, FailedAllocationThrows) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a failed allocation ends a program under a sanitizer";
#endif
  const TemporaryFolder folder;
  const auto path = folder / "huge";
  write_file(path,
             safetensors(R"({"w":{"dtype":"U8","shape":[1099511627776],"data_offsets":[0,1099511627776]}})"));
  std::error_code failed;
  std::filesystem::resize_file(path, std::filesystem::file_size(path) + (1ull << 40),
                               failed);  // a sparse file
  if (failed) GTEST_SKIP() << "no file of 1 TiB here: " << failed.message();
  rlimit before{};
  ::getrlimit(RLIMIT_AS, &before);
  const rlimit limit{1ull << 36, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_AS, &limit), 0);
  const Error error = error_of([&] { io::load(path); });
  ::setrlimit(RLIMIT_AS, &before);
  expect_error(error, ErrorCode::out_of_memory, path.string());
}

}  // namespace
}  // namespace plasticity::testing
