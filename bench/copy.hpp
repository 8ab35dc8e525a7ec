#pragma once

#include <cstddef>
#include <plasticity/device_memory.hpp>
#include <plasticity/plasticity.hpp>
#include <vector>

// The copy bandwidth of a device. The other benchmarks are compared with it.
namespace plasticity::bench {

/// Copies one half of `footprint` bytes to the other, with all threads of the device (on a GPU: one device
/// copy).
class Copier {
 public:
  Copier(Device device, std::size_t footprint);

  /// Seconds for `rounds` copies of the whole half, by all threads together.
  double seconds(std::int64_t rounds);
  /// Bytes read and written per round.
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

/// Bytes per second, read and written, of copies within that many bytes. The first call measures the two
/// nearest powers of two several times and keeps the best. The result is interpolated between them.
double copy_rate(Device device, std::size_t footprint);

}  // namespace plasticity::bench
