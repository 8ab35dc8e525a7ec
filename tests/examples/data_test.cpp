#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <numeric>
#include <plasticity/plasticity.hpp>
#include <stdexcept>

#include "common/pictures.hpp"
#include "common/text.hpp"
#include "support/files.hpp"

namespace examples {
namespace {

using plasticity::testing::TemporaryFolder;

/// A picture with one bright pixel near its top left corner.
Pictures one_pixel(std::size_t row, std::size_t column) {
  Pictures pictures{28, 1, std::vector<std::uint8_t>(28 * 28), {0}, ""};
  pictures.pixels[row * 28 + column] = 200;
  return pictures;
}

std::size_t brightest(const std::vector<float>& values) {
  return static_cast<std::size_t>(std::max_element(values.begin(), values.end()) - values.begin());
}

TEST(Pictures, AreCentredScaledAndTurned) {
  std::vector<float> large(28 * 28), small(14 * 14);
  const Pictures picture = one_pixel(2, 7);
  picture.load(0, large);
  EXPECT_EQ(brightest(large), 2u * 28 + 7);
  EXPECT_EQ(large[2 * 28 + 7], 1);
  EXPECT_NEAR(std::accumulate(large.begin(), large.end(), 0.0), 0, 1e-4);
  std::vector<std::size_t> places;
  for (std::size_t quarter = 0; quarter < 4; ++quarter) {
    picture.load(0, large, quarter);
    places.push_back(brightest(large));
  }
  // Quarter turns, each further than the last by a quarter: (2,7) (7,25) (25,20) (20,2), in one sense or
  // the other.
  EXPECT_EQ(places[2], (27u - 2) * 28 + 27 - 7);
  EXPECT_EQ(places[1] % 28 + places[3] % 28, 27u);
  EXPECT_EQ(places[1] / 28 + places[3] / 28, 27u);
  EXPECT_NE(places[1], places[3]);
  picture.load(0, small);
  EXPECT_EQ(brightest(small), 1u * 14 + 3);
}

TEST(Pictures, Cifar10IsReadAsLuminance) {
  const TemporaryFolder folder;
  const auto write = [&](const std::string& name, char label, std::size_t size) {
    std::string record(size, '\0');
    record[0] = label;
    record[1 + 5] = record[1 + 1024 + 5] = record[1 + 2048 + 5] = '\xff';  // a white pixel
    record[1 + 1024 + 6] = '\x64';                                         // a green one
    std::ofstream(folder / name, std::ios::binary) << record << record;
  };
  for (int part = 1; part <= 5; ++part) {
    write("data_batch_" + std::to_string(part) + ".bin", static_cast<char>(part), 3073);
  }
  EXPECT_THROW(cifar10(folder.path(), true), std::runtime_error);  // no test_batch.bin
  const Pictures pictures = cifar10(folder.path(), false);
  EXPECT_EQ(pictures.side, 32u);
  EXPECT_EQ(pictures.count(), 10u);
  EXPECT_EQ(pictures.labels, (std::vector<std::size_t>{1, 1, 2, 2, 3, 3, 4, 4, 5, 5}));
  EXPECT_EQ(pictures.pixels.size(), 10u * 1024);
  EXPECT_EQ(pictures.pixels[9 * 1024 + 5], 255);
  EXPECT_EQ(pictures.pixels[9 * 1024 + 6], 59);  // .587 of 100
  std::vector<float> values(32 * 32);
  pictures.load(9, values);
  EXPECT_EQ(brightest(values), 5u);
  write("data_batch_3.bin", 10, 3073);
  EXPECT_THROW(cifar10(folder.path(), false), std::runtime_error);  // a label above 9
  write("data_batch_3.bin", 1, 3072);
  EXPECT_THROW(cifar10(folder.path(), false), std::runtime_error);  // cut off
}

TEST(Pictures, OmniglotIsReadFromFoldersOfPng) {
  const TemporaryFolder folder;
  const auto character = [&](int k) {
    return folder / (k < 10 ? "images/Greek" : "images/Latin") / ("character" + std::to_string(10 + k % 10));
  };
  for (int k = 0; k < 20; ++k) {
    std::filesystem::create_directories(character(k));
    for (int drawer = 0; drawer < 3; ++drawer) {
      plasticity::io::Image image{105, 105, 1, std::vector<std::uint8_t>(105 * 105, 255)};
      for (int y = 0; y < 20; ++y) std::fill_n(image.pixels.begin() + y * 105, 50, std::uint8_t{0});
      plasticity::io::write_png(character(k) / (std::to_string(drawer) + ".png"), image);
    }
  }
  const Pictures pictures = omniglot(folder.path());
  EXPECT_EQ(pictures.classes, 20u);
  EXPECT_EQ(pictures.count(), 60u);
  EXPECT_EQ(pictures.pixels[0], 255);  // ink is bright
  EXPECT_EQ(pictures.pixels[27 * 28 + 27], 0);
  EXPECT_EQ(pictures.by_class()[1], (std::vector<std::size_t>{3, 4, 5}));
  std::ofstream(character(0) / "9.png") << "not a picture";
  EXPECT_THROW(omniglot(folder.path()), std::runtime_error);
  std::filesystem::remove(character(0) / "9.png");
  for (const char* name : {"0.png", "1.png"}) std::filesystem::remove(character(0) / name);
  EXPECT_THROW(omniglot(folder.path()), std::runtime_error);  // one picture is left
  std::filesystem::remove_all(character(0));
  EXPECT_THROW(omniglot(folder.path()), std::runtime_error);  // 19 characters are left
  EXPECT_THROW(omniglot(folder / "none"), std::runtime_error);
}

TEST(Text, SymbolsSplitAndChance) {
  const TemporaryFolder folder;
  std::string all;
  for (int k = 0; k < 6000; ++k) all += "ab";
  std::ofstream(folder / "text") << all;
  const Text text((folder / "text").string());
  EXPECT_EQ(text.symbols(), 2u);
  EXPECT_EQ(text.train().size() + text.test().size(), all.size());
  EXPECT_EQ(text.test().size(), all.size() / 12);
  EXPECT_NEAR(text.bits_without_context(), 1, 1e-6);
  std::ofstream(folder / "short") << "abc";
  EXPECT_THROW(Text((folder / "short").string()), std::runtime_error);
  EXPECT_THROW(Text((folder / "none").string()), std::runtime_error);
}

TEST(Text, MadeUpTextIsTheSameEveryTime) {
  const Text a("generated"), b("generated");
  EXPECT_GT(a.train().size(), 200'000u);
  EXPECT_TRUE(std::equal(a.train().begin(), a.train().end(), b.train().begin(), b.train().end()));
}

}  // namespace
}  // namespace examples
