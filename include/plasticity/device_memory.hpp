#pragma once

#include "plasticity/require_cxx20.hpp"  // first

#include <cstddef>
#include <utility>

#include "plasticity/config.h"
#include "plasticity/device.hpp"
#include "plasticity/memory.hpp"

// Allocation, copies and synchronisation on the CPU or on a GPU, without CUDA headers.
namespace plasticity {

/// Owns a block of memory on a device. The block is aligned to 64 bytes and not initialised. Movable, not
/// copyable.
class PLASTICITY_API DeviceMemory {
 public:
  DeviceMemory() = default;  ///< owns no memory

  /// Allocates `bytes` bytes on `device`. 0 bytes allocate nothing. Throws Error(out_of_memory) or
  /// Error(device_unavailable).
  DeviceMemory(Device device, std::size_t bytes);
  ~DeviceMemory();
  DeviceMemory(DeviceMemory&& other) noexcept { swap(other); }  ///< `other` is left empty
  /// Releases the current block and takes that of `other`, which is left empty.
  DeviceMemory& operator=(DeviceMemory&& other) noexcept {
    DeviceMemory(std::move(other)).swap(*this);
    return *this;
  }

  void* data() const { return data_; }          ///< null if bytes() is 0
  std::size_t bytes() const { return bytes_; }  ///< size of the block

  /// Returns a view of the whole block as a Tape, Scratch or StepState: `memory.as<Tape>()`. The view is
  /// valid as long as the block.
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

/// Copies `bytes` bytes between host and device, within the device, or within the host. On a GPU the copy
/// runs after all earlier work on the stream, and the call returns when the copy is done. Throws
/// Error(device_unavailable) if the copy or earlier work on the stream failed.
PLASTICITY_API void copy(Device device, Stream stream, void* to, const void* from, std::size_t bytes);

/// Fills `bytes` bytes of device memory with zeros. On a GPU the call only enqueues the work on the stream.
PLASTICITY_API void fill_zero(Device device, Stream stream, void* data, std::size_t bytes);

/// Waits until all work on the stream is done. Throws Error(device_unavailable) if that work failed.
PLASTICITY_API void synchronize(Device device, Stream stream);

}  // namespace plasticity
