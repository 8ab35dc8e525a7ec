#include "plasticity/io/png.hpp"

#include <png.h>

#include "io/wrong_files.hpp"

namespace plasticity::testing {
namespace {

using io::Image;

/// An image of random pixels, which do not compress.
Image noise(std::int64_t width, std::int64_t height, int channels) {
  Image image{width, height, channels, {}};
  std::uint32_t state = 1;
  for (std::int64_t i = 0; i < width * height * channels; ++i) {
    state = state * 1664525u + 1013904223u;
    image.pixels.push_back(static_cast<std::uint8_t>(state >> 24));
  }
  return image;
}

/// Reads the file with libpng.
Image read(const std::filesystem::path& path) {
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  if (png_image_begin_read_from_file(&png, path.c_str()) == 0) throw std::runtime_error(png.message);
  Image image{png.width,
              png.height,
              png.format == PNG_FORMAT_GRAY  ? 1
              : png.format == PNG_FORMAT_RGB ? 3
                                             : 0,
              {}};
  image.pixels.resize(PNG_IMAGE_SIZE(png));
  if (png_image_finish_read(&png, nullptr, image.pixels.data(), 0, nullptr) == 0)
    throw std::runtime_error(png.message);
  return image;
}

TEST(Png, RoundTrip) {
  const TemporaryFolder folder;
  for (const auto& [width, height] : {std::pair{1, 1}, {1, 7}, {7, 1}, {28, 28}, {333, 257}, {1000, 1000}}) {
    for (const int channels : {1, 3}) {
      SCOPED_TRACE(::testing::Message() << width << " x " << height << " x " << channels);
      const Image image = noise(width, height, channels);
      io::write_png(folder / "image.png", image);
      const Image back = read(folder / "image.png");
      EXPECT_EQ(back.width, width);
      EXPECT_EQ(back.height, height);
      EXPECT_EQ(back.channels, channels);
      EXPECT_TRUE(back.pixels == image.pixels);
    }
  }
  EXPECT_EQ(folder.names(), std::vector<std::string>{"image.png"});
}

TEST(Png, LongestSides) {
  const TemporaryFolder folder;
  io::write_png(folder / "wide.png", noise(1'000'000, 1, 3));
  EXPECT_TRUE(read(folder / "wide.png").pixels == noise(1'000'000, 1, 3).pixels);
  io::write_png(folder / "high.png", noise(1, 1'000'000, 1));
  EXPECT_EQ(read(folder / "high.png").height, 1'000'000);
}

TEST(Png, RejectsWrongImages) {
  const struct {
    Image image;
    const char* message;
  } rows[] = {
      {{0, 1, 1, {}}, "image.width: expected 1 to 1000000, got 0"},
      {{-1, 1, 1, {1}}, "image.width: expected 1 to 1000000, got -1"},
      {{1'000'001, 1, 1, {}}, "image.width: expected 1 to 1000000, got 1000001"},
      {{INT64_MAX, INT64_MAX, 3, {}}, "image.width: expected 1 to 1000000"},
      {{1, 0, 1, {}}, "image.height: expected 1 to 1000000, got 0"},
      {{1, INT64_MIN, 1, {}}, "image.height: expected 1 to 1000000"},
      {{1, 1, 0, {}}, "image.channels: expected 1 or 3, got 0"},
      {{1, 1, 2, {1, 2}}, "image.channels: expected 1 or 3, got 2"},
      {{1, 1, 4, {1, 2, 3, 4}}, "image.channels: expected 1 or 3, got 4"},
      {{2, 3, 3, std::vector<std::uint8_t>(17)},
       "image.pixels: expected height 3 x width 2 x channels 3 = 18, got 17"},
      {{2, 3, 1, std::vector<std::uint8_t>(7)},
       "image.pixels: expected height 3 x width 2 x channels 1 = 6, got 7"},
      {{1'000'000, 1'000'000, 3, {}}, "image: expected at most 1073741824 samples, got 3000000000000"},
  };
  const TemporaryFolder folder;
  for (const auto& row : rows) {
    const Error error = error_of([&] { io::write_png(folder / "wrong.png", row.image); });
    expect_error(error, ErrorCode::invalid_argument, (folder / "wrong.png").string() + ": " + row.message);
  }
  EXPECT_TRUE(folder.names().empty());
}

TEST(Png, UnwritableFilesThrow) {
  const TemporaryFolder folder;
  const auto path = folder / "no/image.png";
  expect_error(error_of([&] { io::write_png(path, noise(2, 2, 1)); }), ErrorCode::io,
               path.string() + ": cannot create a file in its folder");
}

TEST(Png, FailedWriteKeepsTheOldFile) {
  const TemporaryFolder folder;
  io::write_png(folder / "image.png", noise(4, 4, 1));
  {
    const FullDisk disk(5000);
    const Error error = error_of([&] { io::write_png(folder / "image.png", noise(200, 200, 3)); });
    expect_error(error, ErrorCode::io, "image.png: cannot write to it");
  }
  EXPECT_TRUE(read(folder / "image.png").pixels == noise(4, 4, 1).pixels);
  EXPECT_EQ(folder.names(), std::vector<std::string>{"image.png"});
}

}  // namespace
}  // namespace plasticity::testing
