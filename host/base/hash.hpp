#pragma once

#include <cstdint>
#include <string_view>

namespace plasticity {

/// Computes the FNV-1a hash of the bytes that it gets.
class Hash {
 public:
  void add(std::string_view bytes) {
    for (const char byte : bytes) value_ = (value_ ^ static_cast<unsigned char>(byte)) * 0x100000001b3;
  }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325;
};

}  // namespace plasticity
