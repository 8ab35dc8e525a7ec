#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "plasticity/device_memory.hpp"

// Tensors of the tests of the training kernels: copies on the device, and comparisons.
namespace plasticity::testing {

/// A copy on the device, `shift` elements off its alignment, between canaries.
template <class T>
class There {
 public:
  explicit There(const std::vector<T>& values, std::size_t shift = 0)
      : size_(values.size()), at_(16 + shift), memory_(device_, (size_ + at_ + 16) * sizeof(T)) {
    const std::vector<unsigned char> pattern(memory_.bytes(), 0xff);
    copy(device_, {}, memory_.data(), pattern.data(), pattern.size());
    copy(device_, {}, data(), values.data(), size_ * sizeof(T));
  }
  T* data() const { return static_cast<T*>(memory_.data()) + at_; }
  std::vector<T> values() const {
    std::vector<unsigned char> bytes(memory_.bytes());
    copy(device_, {}, bytes.data(), memory_.data(), bytes.size());
    const std::size_t begin = at_ * sizeof(T), end = begin + size_ * sizeof(T);
    for (std::size_t k = 0; k < bytes.size(); ++k) {
      if ((k < begin || k >= end) && bytes[k] != 0xff) {
        ADD_FAILURE() << "written outside, at byte " << k;
        break;
      }
    }
    std::vector<T> values(size_);
    if (size_ > 0) std::memcpy(values.data(), bytes.data() + begin, end - begin);
    return values;
  }

 private:
  Device device_ = Device::cuda();
  std::size_t size_, at_;
  DeviceMemory memory_;
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
