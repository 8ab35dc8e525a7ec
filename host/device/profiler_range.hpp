#pragma once

#include "device/cuda_api.hpp"

namespace plasticity {

/// Marks a public call in a profiler's timeline (an NVTX range) while the object lives. Does nothing if the
/// program does not link the CUDA library.
class ProfilerRange {
 public:
  explicit ProfilerRange(const char* name) : api_(cuda_api()) {
    if (api_ != nullptr) api_->begin_range(name);
  }
  ~ProfilerRange() {
    if (api_ != nullptr) api_->end_range();
  }
  ProfilerRange(const ProfilerRange&) = delete;
  ProfilerRange& operator=(const ProfilerRange&) = delete;

 private:
  const CudaApi* api_;
};

}  // namespace plasticity
