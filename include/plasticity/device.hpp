#pragma once

#include <string>

#include "plasticity/config.h"

struct CUstream_st;  // *cudaStream_t, without a CUDA header

namespace plasticity {

/// What kinds of devices there are.
enum class DeviceKind { cpu, cuda };

/// Where a plan runs: a small value. Asking for one that is not there throws, and says why.
class PLASTICITY_API Device {
 public:
  /// The first CUDA device if this build and machine have one, otherwise the CPU.
  static Device best();

  /// The CPU with that many threads, at most 1024; 0 takes PLASTICITY_THREADS from the environment, or else
  /// one per hardware thread. The number of threads never changes a result. Throws Error(invalid_argument)
  /// for a number out of range, here or in the environment.
  static Device cpu(int threads = 0);

  /// CUDA device `index`. Throws Error(device_unavailable) with the reason where there is none.
  static Device cuda(int index = 0);

  DeviceKind kind() const { return kind_; }        ///< the CPU or a GPU
  int threads() const { return threads_; }         ///< CPU: at least 1
  int index() const { return index_; }             ///< CUDA: the device's number
  std::string name() const;                        ///< "cpu, 2 threads, avx2"
  bool operator==(const Device&) const = default;  ///< the same kind, threads and index

 private:
  Device(DeviceKind kind, int threads, int index) : kind_(kind), threads_(threads), index_(index) {}
  DeviceKind kind_;
  int threads_;
  int index_;
};

/// Why Device::cuda() would throw; empty where it would not.
PLASTICITY_API std::string cuda_unavailable_reason();

/// The instruction set that the CPU path runs with here: "avx512", "avx2" or "baseline". PLASTICITY_ISA in
/// the environment chooses a lower one.
PLASTICITY_API std::string cpu_instruction_set();

/// The caller's CUDA stream. The CPU path is synchronous and does not look at it.
struct Stream {
  CUstream_st* handle = nullptr;  ///< a cudaStream_t; null: the default stream
};

}  // namespace plasticity
