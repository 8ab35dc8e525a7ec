#pragma once

#include <cstddef>
#include <utility>

#include "plasticity/config.h"
#include "plasticity/device.hpp"
#include "plasticity/memory.hpp"

// Memory where a plan runs, for applications that hold no CUDA headers: the same calls for the CPU and for a
// GPU.
namespace plasticity {

/// Memory on a device, owned, aligned to 64 bytes or more; not cleared. Moves, does not copy.
class PLASTICITY_API DeviceMemory {
 public:
  DeviceMemory() = default;  ///< none

  /// Throws Error(out_of_memory) with nothing changed, or Error(device_unavailable).
  DeviceMemory(Device device, std::size_t bytes);
  ~DeviceMemory();
  DeviceMemory(DeviceMemory&& other) noexcept { swap(other); }  ///< `other` is left with none
  /// What was held is released, `other` is left with none.
  DeviceMemory& operator=(DeviceMemory&& other) noexcept {
    DeviceMemory(std::move(other)).swap(*this);
    return *this;
  }

  void* data() const { return data_; }          ///< null when there are no bytes
  std::size_t bytes() const { return bytes_; }  ///< as asked for

  /// As an argument of a Plan call: `memory.as<Tape>()`.
  template <class Kind>
  Kind as() const {
    return Kind{{data_, bytes_}};
  }

 private:
  void swap(DeviceMemory& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    std::swap(kind_, other.kind_);
    std::swap(index_, other.index_);
  }
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
  DeviceKind kind_ = DeviceKind::cpu;
  int index_ = 0;
};

/// Copies between the host and the device, or within either, after the work put on the stream so far; returns
/// when the bytes are there. On the CPU: an ordinary copy.
PLASTICITY_API void copy(Device device, Stream stream, void* to, const void* from, std::size_t bytes);

/// Puts zeros there, as work on the stream.
PLASTICITY_API void fill_zero(Device device, Stream stream, void* data, std::size_t bytes);

/// Waits until all work on the stream is done. Throws Error(device_unavailable) for a fault of that work.
PLASTICITY_API void synchronize(Device device, Stream stream);

}  // namespace plasticity
