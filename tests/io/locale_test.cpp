// Numbers in files, messages and JSON do not depend on the global locale.
#include <gtest/gtest.h>

#include <locale>

#include "io/wrong_files.hpp"
#include "plasticity/plasticity.hpp"

namespace plasticity::testing {
namespace {

/// Digits in groups of three, and a decimal comma.
struct Grouped : std::numpunct<char> {
  char do_thousands_sep() const override { return '.'; }
  char do_decimal_point() const override { return ','; }
  std::string do_grouping() const override { return "\3"; }
};

/// Sets the global C++ locale during a test.
class Locale : public ::testing::Test {
 protected:
  Locale() : before_(std::locale::global(std::locale(std::locale::classic(), new Grouped))) {}
  ~Locale() override { std::locale::global(before_); }

 private:
  std::locale before_;
};

TEST_F(Locale, IsInEffect) {
  std::ostringstream text;
  text << 1200 << ' ' << 0.5;
  EXPECT_EQ(text.str(), "1.200 0,5");
}

TEST_F(Locale, FilesHavePlainNumbers) {
  const TemporaryFolder folder;
  const std::string path = folder / "network.safetensors";
  const Spec spec{.cell = Cell::rnn, .rule = Rule::hard_clip, .inputs = 0, .neurons = 1200, .clip = 1234.5};
  Network network({.cell = Cell::rnn, .rule = Rule::hard_clip, .inputs = 0, .neurons = 1200, .clip = 1234.5},
                  {.device = Device::cpu(1)});
  Adam adam({.learning_rate = .25});
  io::TensorFile file;
  network.save(file);
  adam.save(file);
  io::save(path, file);
  EXPECT_EQ(file.metadata.at("N"), "1200");
  EXPECT_EQ(file.metadata.at("clip"), "1234.5");
  const io::TensorFile stored = io::load(path);
  EXPECT_EQ(load_spec(stored), spec);
  network.load(stored);
  adam.load(stored);
}

TEST_F(Locale, MessagesHavePlainNumbers) {
  EXPECT_EQ(to_string(Spec{.cell = Cell::rnn, .rule = Rule::hard_clip, .neurons = 1200, .clip = 1234.5}),
            "rnn hard_clip fixed alpha=connection tanh clip=1234.5 I=0 N=1200");
  EXPECT_STREQ(error_of([] { Adam({.learning_rate = -1234.5}); }).what(),
               "learning_rate: expected a finite value of at least 0, got -1234.5");
  const TemporaryFolder folder;
  write_file(folder / "labels", std::string("\0\0\xd\7\0\0\0\0", 8));
  EXPECT_NE(std::string(error_of([&] { io::read_idx_labels(folder / "labels"); }).what()).find("0xd07"),
            std::string::npos);
}

}  // namespace
}  // namespace plasticity::testing
