#include "plasticity/io/idx.hpp"

#include <numeric>

#include "io/wire.hpp"
#include "io/wrong_files.hpp"

namespace plasticity::testing {
namespace {

using io::Images;

std::string pattern(std::size_t size) {
  std::string out(size, '\0');
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<char>(i * i / 7);
  return out;
}

void expect_images(const std::filesystem::path& path, const Images& expected) {
  const Images images = io::read_idx_images(path);
  EXPECT_EQ(images.count, expected.count);
  EXPECT_EQ(images.rows, expected.rows);
  EXPECT_EQ(images.columns, expected.columns);
  EXPECT_TRUE(images.pixels == expected.pixels);
}

TEST(Idx, PlainAndCompressed) {
  const TemporaryFolder folder;
  // Sizes near the reader's pieces (1 MiB, then doubling) and near its file buffer.
  for (const std::uint32_t count : {0u, 1u, 11u, 10920u, 10923u, 21845u, 21846u, 100'000u}) {
    SCOPED_TRACE(count);
    const std::string data = pattern(std::size_t{count} * 6 * 16);
    const Images expected{count, 6, 16, {data.begin(), data.end()}};
    const std::string file = idx(count, 6, 16, data);
    write_file(folder / "plain", file);
    expect_images(folder / "plain", expected);
    for (const int level : {0, 1, 9}) {
      write_file(folder / "gz", gzip(file, level));
      expect_images(folder / "gz", expected);
    }
  }
}

TEST(Idx, SeveralGzipMembers) {
  const TemporaryFolder folder;
  const std::string data = pattern(60), file = idx(5, 3, 4, data);
  const Images expected{5, 3, 4, {data.begin(), data.end()}};
  for (std::size_t cut = 0; cut <= file.size(); ++cut) {
    write_file(folder / "gz", gzip(file.substr(0, cut)) + gzip(file.substr(cut)) + gzip(""));
    expect_images(folder / "gz", expected);
  }
}

std::vector<InvalidFile> wrong_files() {
  const std::string data = pattern(24), good = idx(2, 3, 4, data), gz = gzip(good);
  const std::string missing = "expected an IDX header of 16 bytes, got a truncated header";
  const std::string magic = "expected the magic number 0x803 of IDX images (bytes, 3 dimensions), got ";
  const std::string damaged = "expected valid gzip data, got ";
  const std::string cut = "expected complete gzip data, got a truncated file";
  const std::string after = "expected nothing but gzip data after the compressed data, got ";
  std::string wrong_checksum = gz, wrong_length = gz, wrong_method = gz, wrong_block = gz;
  wrong_checksum[gz.size() - 8] ^= 1;
  wrong_length[gz.size() - 1] ^= 1;
  wrong_method[2] = 7;
  wrong_block[10] = '\xff';
  return {
      {"empty", "", missing},
      {"three_bytes", good.substr(0, 3), missing},
      {"header_cut_off", good.substr(0, 15), missing},
      {"text", "This is not IDX.", magic + "0x54686973"},
      {"labels", big_endian(0x801) + big_endian(2) + "\1\2", magic + "0x801, IDX labels"},
      {"two_dimensions", idx(2, 3, 4, data, 0x802), magic + "0x802"},
      {"little_endian", little_endian(0x803u) + data, magic + "0x3080000"},
      {"int_images", idx(2, 3, 4, data, 0xc03), magic + "0xc03, IDX with another element type",
       ErrorCode::unsupported},
      {"double_vector", idx(2, 3, 4, data, 0xe01), magic + "0xe01, IDX with another element type",
       ErrorCode::unsupported},
      {"no_such_type", idx(2, 3, 4, data, 0xa03), magic + "0xa03"},
      {"no_rows", idx(2, 0, 4, ""), "images of at least one row and column, got 2 x 0 x 4"},
      {"no_columns", idx(0, 3, 0, ""), "images of at least one row and column, got 0 x 3 x 0"},
      {"over_4_GiB", idx(65537, 256, 256, data), "at most 4 GiB of pixels, got 65537 x 256 x 256"},
      {"wraps_in_32_bits", idx(1u << 16, 1u << 16, 1, data),
       "4294967296 bytes of pixels, as its header says, got 24"},
      {"wraps_in_64_bits", idx(1u << 31, 1u << 31, 4, data), "at most 4 GiB of pixels"},
      {"largest_sizes", idx(UINT32_MAX, UINT32_MAX, UINT32_MAX, data), "at most 4 GiB of pixels"},
      {"no_images_of_largest_sizes", idx(0, UINT32_MAX, UINT32_MAX, ""), "at most 4 GiB of pixels"},
      {"huge_and_empty", idx(UINT32_MAX, 1, 1, ""), "4294967295 bytes of pixels, as its header says, got 0"},
      {"pixels_cut_off", good.substr(0, good.size() - 1), "24 bytes of pixels, as its header says, got 23"},
      {"data_left_over", good + '\0', "expected no data after the 24 pixels, got extra data"},
      {"data_without_images", idx(0, 3, 4, "x"), "expected no data after the 0 pixels, got extra data"},
      {"gzip_magic_only", gz.substr(0, 2), cut},
      {"gzip_header_cut_off", gz.substr(0, 9), cut},
      {"gzip_data_cut_off", gz.substr(0, gz.size() / 2), cut},
      {"gzip_checksum_cut_off", gz.substr(0, gz.size() - 8), cut},
      {"gzip_length_cut_off", gz.substr(0, gz.size() - 1), cut},
      {"gzip_wrong_checksum", wrong_checksum, damaged + "incorrect data check"},
      {"gzip_wrong_length", wrong_length, damaged + "incorrect length check"},
      {"gzip_wrong_method", wrong_method, damaged + "unknown compression method"},
      {"gzip_wrong_block", wrong_block, damaged + "invalid block type"},
      {"gzip_zeros_after", gz + std::string(4, '\0'), after + "incorrect header check"},
      {"gzip_text_after", gz + "text", after + "incorrect header check"},
      {"gzip_started_again", gz + gz.substr(0, 5), cut},
      {"gzip_twice_the_file", gz + gz, "expected no data after the 24 pixels, got extra data"},
      {"gzip_of_nothing", gzip(""), missing},
      {"gzip_in_gzip", gzip(gz), magic + "0x1f8b0800"},
      {"gzip_short", gzip(good.substr(0, 30)), "24 bytes of pixels, as its header says, got 14"},
      {"gzip_bomb", gzip(idx(2, 3, 4, std::string(2'000'000, '\0'))),
       "expected no data after the 24 pixels, got extra data"},
  };
}

class WrongIdx : public ::testing::TestWithParam<InvalidFile> {};

TEST_P(WrongIdx, IsRejected) {
  const TemporaryFolder folder;
  write_file(folder / "wrong", GetParam().bytes);
  const Error error = error_of([&] { io::read_idx_images(folder / "wrong"); });
  expect_error(error, GetParam().code, (folder / "wrong").string() + ": ");
  expect_error(error, GetParam().code, GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(Files, WrongIdx, ::testing::ValuesIn(wrong_files()), name_of);

TEST(Idx, UnreadableFilesThrow) {
  const TemporaryFolder folder;
  const auto read = [](const std::filesystem::path& path) { return [path] { io::read_idx_images(path); }; };
  expect_error(error_of(read(folder / "none")), ErrorCode::io,
               (folder / "none").string() + ": cannot open it");
  expect_error(error_of(read("/")), ErrorCode::io, "expected a regular file");
}

std::string labels_file(std::uint32_t count, const std::string& data) {
  return big_endian(0x801) + big_endian(count) + data;
}

TEST(Idx, Labels) {
  const TemporaryFolder folder;
  for (const std::uint32_t count : {0u, 1u, 60'000u, 3'000'000u}) {
    SCOPED_TRACE(count);
    const std::string data = pattern(count);
    write_file(folder / "plain", labels_file(count, data));
    write_file(folder / "gz", gzip(labels_file(count, data)));
    const std::vector<std::uint8_t> expected(data.begin(), data.end());
    EXPECT_TRUE(io::read_idx_labels(folder / "plain") == expected);
    EXPECT_TRUE(io::read_idx_labels(folder / "gz") == expected);
  }
}

TEST(Idx, RejectsWrongLabels) {
  const TemporaryFolder folder;
  const std::string magic = "expected the magic number 0x801 of IDX labels (bytes, 1 dimension), got ";
  for (const auto& [bytes, message] : {
           std::pair{std::string(), std::string("expected an IDX header of 8 bytes, got a truncated header")},
           {labels_file(2, "").substr(0, 7), "expected an IDX header of 8 bytes, got a truncated header"},
           {idx(2, 3, 4, pattern(24)), magic + "0x803, IDX images"},
           {"This is not IDX.", magic + "0x54686973"},
           {labels_file(3, "ab"), "3 bytes of labels, as its header says, got 2"},
           {labels_file(UINT32_MAX, ""), "4294967295 bytes of labels, as its header says, got 0"},
           {labels_file(1, "ab"), "expected no data after the 1 labels, got extra data"},
       }) {
    SCOPED_TRACE(message);
    write_file(folder / "wrong", bytes);
    expect_error(error_of([&] { io::read_idx_labels(folder / "wrong"); }), ErrorCode::format,
                 (folder / "wrong").string() + ": " +
                     (message.starts_with("expected") ? message : "expected " + message));
  }
}

TEST(Idx, FashionMnist) {
  const std::filesystem::path folder = "/usr/share/datasets/fashion-mnist";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no " << folder;
  for (const auto& [name, count, mean] : {std::tuple{"train-images-idx3-ubyte.gz", 60000, 72.94},
                                          {"t10k-images-idx3-ubyte.gz", 10000, 73.15}}) {
    const Images images = io::read_idx_images(folder / name);
    EXPECT_EQ(images.count, count);
    EXPECT_EQ(images.rows, 28);
    EXPECT_EQ(images.columns, 28);
    ASSERT_EQ(images.pixels.size(), static_cast<std::size_t>(count) * 28 * 28);
    const double sum = std::accumulate(images.pixels.begin(), images.pixels.end(), 0.0);
    EXPECT_NEAR(sum / static_cast<double>(images.pixels.size()), mean,
                0.01);  // the published mean of the data set
  }
  const auto labels = folder / "t10k-labels-idx1-ubyte.gz";
  expect_error(error_of([&] { io::read_idx_images(labels); }), ErrorCode::format,
               labels.string() + ": expected the magic");
}

}  // namespace
}  // namespace plasticity::testing
