#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "support/guarded_memory.hpp"

// Tensors of the tests of the training kernels: copies on the device, and comparisons.
namespace plasticity::testing {

/// A copy on the device, `shift` elements off its alignment, between canaries.
template <class T>
class DeviceCopy {
 public:
  explicit DeviceCopy(const std::vector<T>& values, std::size_t shift = 0)
      : size_(values.size()), memory_(size_ * sizeof(T), device_, shift * sizeof(T)) {
    copy(device_, {}, data(), values.data(), size_ * sizeof(T));
  }
  T* data() const { return static_cast<T*>(memory_.data()); }
  std::vector<T> values() const {
    EXPECT_TRUE(memory_.intact()) << "memory beside the values has changed";
    std::vector<T> values(size_);
    copy(device_, {}, values.data(), data(), size_ * sizeof(T));
    return values;
  }

 private:
  const Device device_ = Device::cuda();
  const std::size_t size_;
  const GuardedMemory memory_;
};

template <class T>
void expect_near(const std::vector<T>& got, const std::vector<T>& want, const std::string& what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  for (std::size_t k = 0; k < got.size(); ++k) {
    if (std::isnan(want[k])) {
      EXPECT_TRUE(std::isnan(got[k])) << what << ' ' << k;
    } else if (std::isinf(want[k])) {
      EXPECT_EQ(got[k], want[k]) << what << ' ' << k;
    } else {
      ASSERT_NEAR(got[k], want[k], 1e-5 * std::max<double>(1, std::abs(static_cast<double>(want[k]))))
          << what << ' ' << k;
    }
  }
}

}  // namespace plasticity::testing
