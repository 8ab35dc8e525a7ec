#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

#include "fail.hpp"
#include "plasticity/plan.hpp"

namespace plasticity {

/// Host memory aligned to 64 bytes, owned. Throws Error(out_of_memory).
class HostMemory {
 public:
  HostMemory() = default;
  explicit HostMemory(std::size_t bytes) : bytes_(bytes) {
    if (bytes == 0) return;
    data_.reset(static_cast<std::byte*>(::operator new (bytes, std::align_val_t{64}, std::nothrow)));
    if (!data_) fail(ErrorCode::out_of_memory, "host memory", text(bytes, " bytes"), "none");
  }
  void* data() const { return data_.get(); }
  std::size_t bytes() const { return bytes_; }

  /// As the argument of a Plan call: `memory.as<Tape>()`.
  template <class Kind>
  Kind as() const {
    return Kind{{data(), bytes_}};
  }

 private:
  struct Free {
    void operator()(std::byte* data) const { ::operator delete (data, std::align_val_t{64}); }
  };
  std::unique_ptr<std::byte, Free> data_;
  std::size_t bytes_ = 0;
};

}  // namespace plasticity
