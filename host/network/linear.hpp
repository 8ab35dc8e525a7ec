#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "network/checks_requested.hpp"
#include "plasticity/device_memory.hpp"
#include "plasticity/linear.hpp"

namespace plasticity {

/// The members of a Linear that a copy has too.
struct LinearValues {
  std::int64_t inputs, outputs;
  std::string name;
  Device device;
  Stream stream;
  std::vector<float> weight{}, bias{}, weight_gradient{}, bias_gradient{};
  bool checks = checks_requested();  // PLASTICITY_CHECKS
};

/// The data of a Linear: its values, and device memory that the calls reuse.
struct Linear::Implementation : LinearValues {
  std::uint64_t version = 1;  // counts the changes of W and b; views point to it
  DeviceMemory tensors{}, scratch{};

  explicit Implementation(LinearValues values) : LinearValues(std::move(values)) {}

  /// Copies the values into the memory of these, so that views stay valid if the sizes are equal.
  void assign(const LinearValues& other);

  /// Returns the number of rows of x. Throws Error(invalid_argument) unless x and y have whole rows and
  /// equally many.
  std::int64_t checked_rows(std::span<const float> x, std::span<const float> y, const char* name_of_y) const;

  /// W and b in memory of the device.
  struct OnDevice {
    const float *weight, *bias;
  };
  /// Uploads W and b if they changed.
  OnDevice parameters_on_device();

 private:
  DeviceMemory uploaded_{};
  std::uint64_t uploaded_version_ = 0, uploaded_checksum_ = 0;  // version 0: nothing is uploaded
};

}  // namespace plasticity
