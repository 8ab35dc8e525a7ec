#pragma once

#include <cstddef>
#include <plasticity/device_memory.hpp>
#include <plasticity/plasticity.hpp>
#include <vector>

// The copy bandwidth of a device: the ceiling that everything else is held against.
namespace plasticity::bench {

/// Copies within `footprint` bytes, half of them the source and half the target, shared out among the
/// device's threads (a GPU: one copy on the device).
class Copier {
 public:
  Copier(Device device, std::size_t footprint);

  /// The seconds of `rounds` copies of everything, all threads together.
  double seconds(std::int64_t rounds);
  /// Bytes read and written by one round.
  std::size_t bytes() const { return 2 * share_ * parts_.size(); }

 private:
  struct Part {
    DeviceMemory memory;
    void *from, *to;
  };
  Device device_;
  std::size_t share_;
  std::vector<Part> parts_;
};

/// Bytes a second, read and written, of copies within that many bytes: the best of several measurements made
/// when it is first asked for, on the powers of two beside it, between which it interpolates.
double copy_rate(Device device, std::size_t footprint);

}  // namespace plasticity::bench
