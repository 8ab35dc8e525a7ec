#include "common/text.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "common/random.hpp"

namespace examples {
namespace {

constexpr std::size_t min_bytes = 10'000;

std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("text: " + path.string() + " cannot be read");
  return {std::istreambuf_iterator<char>(in), {}};
}

/// All licences, sorted by name. Symbolic links are skipped: they are second names.
std::string licences() {
  const std::filesystem::path folder = "/usr/share/common-licenses";
  std::error_code none;
  if (!std::filesystem::is_directory(folder, none)) return {};
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.is_regular_file() && !entry.is_symlink()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  std::string all;
  for (const auto& file : files) all += read_file(file);
  return all;
}

/// Paragraphs about a person and a thing with invented names. Only a model that remembers the first mention
/// of a name can predict the second.
std::string generated_sentences() {
  Random random(1);
  const auto choose = [&](auto&... word) {
    const std::array<const char*, sizeof...(word)> words{word...};
    return std::string(words[random.below(words.size())]);
  };
  const auto name = [&] {
    std::string invented;
    for (std::size_t k = 0; k < 2 + random.below(2); ++k) {
      invented += choose("b", "d", "f", "k", "l", "m", "n", "r", "s", "t", "v", "z") +
                  choose("a", "e", "i", "o", "u");
    }
    return invented;
  };
  std::string all;
  while (all.size() < 300'000) {
    const std::string person = name(), thing = name();
    all += "There was once a " + choose("child", "king", "miller", "sailor") + " called " + person +
           ", who had a " + thing + ". ";
    for (std::size_t k = 0; k < 3 + random.below(4); ++k) {
      all += choose("Every morning ", "In the evening ", "Then ", "One day ") + person +
             choose(" looked for", " cleaned", " sold", " hid", " asked for") + " the " + thing +
             choose(". ", " in the garden. ", " by the river. ", " once more. ");
    }
    all += "\n";
  }
  return all;
}

}  // namespace

Text::Text(const std::string& file) : source_(file) {
  std::string all = file.empty() ? licences() : file == "generated" ? std::string() : read_file(file);
  if (file.empty()) source_ = "licences of Debian";
  if (file == "generated" || (file.empty() && all.size() < min_bytes)) {
    all = generated_sentences();
    source_ = "sentences invented by the program";
  }
  if (all.size() < min_bytes) {
    throw std::runtime_error("text: expected at least " + std::to_string(min_bytes) + " bytes, got " +
                             std::to_string(all.size()) + " in " + file);
  }
  std::array<int, 256> symbol;
  symbol.fill(-1);
  for (const char byte : all) {
    int& index = symbol[static_cast<unsigned char>(byte)];
    if (index < 0) index = static_cast<int>(symbols_++);
    content_.push_back(static_cast<std::uint8_t>(index));
  }
  train_ = content_.size() - content_.size() / 12;
}

double Text::bits_without_context() const {
  std::vector<double> count(symbols_, 1);
  for (const std::uint8_t symbol : train()) ++count[symbol];
  const auto total = static_cast<double>(train_ + symbols_);
  double bits = 0;
  for (const std::uint8_t symbol : test()) bits -= std::log2(count[symbol] / total);
  return bits / static_cast<double>(test().size());
}

}  // namespace examples
