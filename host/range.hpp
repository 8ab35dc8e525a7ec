#pragma once

#include "cuda_part.hpp"

namespace plasticity {

/// A public call in the timeline of a profiler (an NVTX range), where the program has the CUDA part.
class Range {
 public:
  explicit Range(const char* name) : part_(cuda_part()) {
    if (part_ != nullptr) part_->begin_range(name);
  }
  ~Range() {
    if (part_ != nullptr) part_->end_range();
  }
  Range(const Range&) = delete;
  Range& operator=(const Range&) = delete;

 private:
  const CudaPart* part_;
};

}  // namespace plasticity
