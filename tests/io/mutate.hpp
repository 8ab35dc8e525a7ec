#pragma once

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "io/wire.hpp"

/// Inputs for the fuzz driver: valid files with a few random changes.
namespace plasticity::testing {

struct Input {
  bool is_idx = false;  // otherwise safetensors
  std::string bytes;
};

inline std::vector<std::string> safetensors_seeds() {
  const std::string floats = R"("w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]})";
  return {
      safetensors("{}"),
      safetensors("{" + floats + "}    ", std::string(24, 'f')),
      safetensors(
          R"({"__metadata__":{"format":"pt","x":"\u00fc\n"},)" + floats +
              R"(,"b":{"dtype":"BF16","shape":[3],"data_offsets":[24,30]},"s":{"dtype":"F64","shape":[],)"
              R"("data_offsets":[30,38]},"e":{"dtype":"I64","shape":[7,0],"data_offsets":[38,38]}})",
          std::string(38, '\x7f')),
      safetensors(R"({"a":{"dtype":"F16","shape":[4],"data_offsets":[0,8]},"b":{"dtype":"I32","shape":[1],)"
                  R"("data_offsets":[8,12]},"c":{"dtype":"U8","shape":[2],"data_offsets":[12,14]},)"
                  R"("d":{"dtype":"BOOL","shape":[1,1,1],"data_offsets":[14,15]}})",
                  std::string("\x01\x7c\0\0\xff\xff\0\x80\1\2\3\4\5\6\7", 15)),
  };
}

inline std::vector<std::string> idx_seeds() {
  std::string noise;
  for (unsigned i = 0; i < 600; ++i) noise += static_cast<char>(i * i * 2654435761u >> 13);
  return {idx(0, 2, 2, ""), idx(2, 3, 4, std::string(24, 'p')), idx(6, 10, 10, noise),
          idx(40, 28, 28, std::string(40 * 28 * 28, '\0'))};
}

class Mutator {
 public:
  explicit Mutator(std::uint64_t seed) : random_(seed) {}

  Input next() {
    Input input;
    input.is_idx = chance(40);
    if (!input.is_idx) {
      input.bytes = pick(safetensors_seeds());
      change(4, input.bytes,
             [&](std::string& bytes) { chance(70) ? change_header(bytes) : change_bytes(bytes); });
      return input;
    }
    input.bytes = pick(idx_seeds());
    change(2, input.bytes, [&](std::string& bytes) { change_bytes(bytes); });
    if (chance(60)) {
      const std::size_t cut = chance(20) ? below(input.bytes.size() + 1) : input.bytes.size();
      const int level = static_cast<int>(below(10));
      std::string compressed = gzip(input.bytes.substr(0, cut), level);
      if (cut < input.bytes.size()) compressed += gzip(input.bytes.substr(cut), level);
      input.bytes = std::move(compressed);
      if (chance(50)) change(2, input.bytes, [&](std::string& bytes) { change_bytes(bytes); });
    }
    return input;
  }

 private:
  /// Returns a number from 0 to count - 1. (The standard's distributions differ between libraries.)
  std::size_t below(std::size_t count) {
    return count == 0 ? 0 : static_cast<std::size_t>(random_() % count);
  }
  bool chance(std::size_t percent) { return below(100) < percent; }
  template <class T>
  T pick(const std::vector<T>& from) {
    return from[below(from.size())];
  }

  /// Applies 0 to max_changes changes.
  template <class Change>
  void change(std::size_t max_changes, std::string& bytes, Change&& once) {
    for (std::size_t left = below(max_changes + 1); left > 0; --left) once(bytes);
  }

  std::uint64_t number() {
    static const std::vector<std::uint64_t> numbers = {0,           1,
                                                       2,           3,
                                                       4,           8,
                                                       24,          255,
                                                       256,         65535,
                                                       65536,       100'000'000,
                                                       100'000'001, INT32_MAX,
                                                       1ull << 31,  UINT32_MAX,
                                                       1ull << 32,  1ull << 61,
                                                       1ull << 62,  INT64_MAX,
                                                       1ull << 63,  UINT64_MAX - 8,
                                                       UINT64_MAX};
    const std::uint64_t chosen = pick(numbers);
    return chance(70) ? chosen : chosen + below(5) - 2;
  }

  void change_bytes(std::string& bytes) {
    const std::size_t at = below(bytes.size() + 1), length = below(chance(80) ? 9 : bytes.size() + 1);
    if (at == bytes.size()) {
      bytes += std::string(length, static_cast<char>(random_()));
      return;
    }
    switch (below(9)) {
      case 0: bytes[at] = static_cast<char>(bytes[at] ^ 1 << below(8)); break;
      case 1: bytes[at] = static_cast<char>(random_()); break;
      case 2: bytes.resize(at); break;
      case 3: bytes.erase(at, length); break;
      case 4: bytes.insert(at, bytes.substr(below(bytes.size()), length)); break;
      case 5: bytes.insert(at, std::string(length, static_cast<char>(random_()))); break;
      case 6: overwrite(bytes, at, little_endian(number())); break;
      // Mostly a field of an IDX header.
      case 7:
        overwrite(bytes, chance(70) ? 4 * below(4) : at, big_endian(static_cast<std::uint32_t>(number())));
        break;
      case 8: {
        const std::string other = pick(chance(50) ? safetensors_seeds() : idx_seeds());
        bytes = bytes.substr(0, at) + other.substr(below(other.size()));
        break;
      }
    }
  }

  static void overwrite(std::string& bytes, std::size_t at, const std::string& with) {
    if (at < bytes.size()) bytes.replace(at, with.size(), with);
  }

  /// Changes the JSON text and corrects its length, so that the change passes the first check.
  void change_header(std::string& bytes) {
    if (bytes.size() < 8) return change_bytes(bytes);
    std::uint64_t length = 0;
    for (std::size_t i = 8; i-- > 0;) length = length << 8 | static_cast<unsigned char>(bytes[i]);
    if (length > bytes.size() - 8) return change_bytes(bytes);
    std::string json = bytes.substr(8, static_cast<std::size_t>(length));
    const std::string data = bytes.substr(8 + static_cast<std::size_t>(length));
    switch (below(6)) {
      case 0:
      case 1: change_number(json); break;
      case 2: change_string(json); break;
      case 3: repeat_or_drop(json); break;
      case 4: insert_token(json); break;
      case 5: change_bytes(json); break;
    }
    const std::size_t data_length = chance(10) ? below(2 * data.size() + 2) : data.size();
    bytes = safetensors(json, (data + data).substr(0, data_length));
    if (chance(3)) overwrite(bytes, 0, little_endian(number()));
  }

  void change_number(std::string& json) {
    const auto found = spans(json, [](char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; });
    if (found.empty()) return;
    const auto [at, length] = pick(found);
    static const std::vector<std::string> odd = {"-1",
                                                 "-0",
                                                 "1.0",
                                                 "1e2",
                                                 "1e999",
                                                 "0x1",
                                                 "01",
                                                 "null",
                                                 "true",
                                                 "\"4\"",
                                                 "[4]",
                                                 "{}",
                                                 "",
                                                 "18446744073709551616",
                                                 "-9223372036854775809"};
    // Another number of the same text creates overlaps and gaps.
    const auto [from, from_length] = pick(found);
    const std::string own = json.substr(from, from_length);
    const std::string other = chance(30) ? own : chance(60) ? std::to_string(number()) : pick(odd);
    json.replace(at, length, other);
  }

  void change_string(std::string& json) {
    const auto found =
        spans(json, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; });
    if (found.empty()) return;
    const auto [at, length] = pick(found);
    static const std::vector<std::string> words = {"F64",
                                                   "F32",
                                                   "F16",
                                                   "BF16",
                                                   "I64",
                                                   "I32",
                                                   "U8",
                                                   "BOOL",
                                                   "F8_E4M3",
                                                   "I16",
                                                   "f32",
                                                   "dtype",
                                                   "shape",
                                                   "data_offsets",
                                                   "__metadata__",
                                                   "w",
                                                   "",
                                                   "\\u0000",
                                                   "\\ud800",
                                                   "\xff",
                                                   "\xc3\xbc",
                                                   "\\\"",
                                                   std::string(5000, 'n')};
    json.replace(at, length, pick(words));
  }

  /// Repeats or removes a piece between two commas or brackets.
  void repeat_or_drop(std::string& json) {
    const auto found = spans(json, [](char c) { return c != ',' && c != '{' && c != '}'; });
    if (found.empty()) return;
    const auto [first, first_length] = pick(found);
    const auto [last, last_length] = pick(found);
    const std::size_t at = std::min(first, last), end = std::max(first + first_length, last + last_length);
    const std::string piece = json.substr(at, end - at);
    if (chance(40)) {
      json.erase(at, piece.size() + (chance(70) ? 1 : 0));
    } else {
      json.insert(at, piece + (chance(80) ? "," : ""));
    }
  }

  void insert_token(std::string& json) {
    static const std::vector<std::string> tokens = {
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        " ",
        "\n",
        std::string(1, '\0'),
        "null",
        "/**/",
        "1",
        "\\",
        "\xef\xbb\xbf",
        R"("x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},)",
        R"("__metadata__":{},)",
        std::string(3000, '['),
        R"("n":{"dtype":"F32","shape":[0,9223372036854775807],"data_offsets":[0,0]},)"};
    json.insert(chance(30) ? std::min<std::size_t>(1, json.size()) : below(json.size() + 1), pick(tokens));
  }

  /// Returns the (start, length) of every run of characters that belong.
  template <class Belongs>
  static std::vector<std::pair<std::size_t, std::size_t>> spans(const std::string& text, Belongs&& belongs) {
    std::vector<std::pair<std::size_t, std::size_t>> out;
    bool inside = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
      const bool in = belongs(text[i]);
      if (in && !inside) out.emplace_back(i, 0);
      if (in) ++out.back().second;
      inside = in;
    }
    return out;
  }

  std::mt19937_64 random_;
};

}  // namespace plasticity::testing
