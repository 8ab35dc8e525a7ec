#pragma once

#include "device/cuda_api.hpp"

namespace plasticity {

/// A public call in the timeline of a profiler (an NVTX range), where the program has the CUDA part.
class ProfilerRange {
 public:
  explicit ProfilerRange(const char* name) : part_(cuda_api()) {
    if (part_ != nullptr) part_->begin_range(name);
  }
  ~ProfilerRange() {
    if (part_ != nullptr) part_->end_range();
  }
  ProfilerRange(const ProfilerRange&) = delete;
  ProfilerRange& operator=(const ProfilerRange&) = delete;

 private:
  const CudaApi* part_;
};

}  // namespace plasticity
