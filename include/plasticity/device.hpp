#pragma once

#include <string>

#include "plasticity/config.h"

struct CUstream_st;  // *cudaStream_t, without a CUDA header

namespace plasticity {

/// The kinds of devices.
enum class DeviceKind { cpu, cuda };

/// A device that runs plans: the CPU with a number of threads, or one CUDA device. A small value, copied
/// freely.
class PLASTICITY_API Device {
 public:
  /// Returns CUDA device 0 if this build has kernels that run on it, otherwise the CPU with the default
  /// number of threads. Throws as cpu().
  static Device best();

  /// Returns the CPU with `threads` threads, 0 to 1024. 0 means the value of the environment variable
  /// PLASTICITY_THREADS, or else one thread per hardware thread. The number of threads never changes a
  /// result. Throws Error(invalid_argument) if `threads` or PLASTICITY_THREADS is out of range.
  static Device cpu(int threads = 0);

  /// Returns CUDA device `index`. Throws Error(invalid_argument) for a negative index, and
  /// Error(device_unavailable) with the reason if the device does not exist or cannot run the kernels.
  static Device cuda(int index = 0);

  DeviceKind kind() const { return kind_; }  ///< CPU or CUDA
  int threads() const { return threads_; }  ///< number of threads of the CPU, at least 1; 0 for a CUDA device
  int index() const { return index_; }      ///< number of the CUDA device; 0 for the CPU
  std::string name() const;                 ///< description, for example "cpu, 2 threads, avx2"
  bool operator==(const Device&) const = default;  ///< compares kind, threads and index

 private:
  Device(DeviceKind kind, int threads, int index) : kind_(kind), threads_(threads), index_(index) {}
  DeviceKind kind_;
  int threads_;
  int index_;
};

/// Returns why no CUDA device can be used, or an empty string if Device::cuda() finds one.
PLASTICITY_API std::string cuda_unavailable_reason();

/// Returns the instruction set of the CPU kernels: "avx512", "avx2" or "baseline". The environment variable
/// PLASTICITY_ISA selects a lower one. Throws Error(invalid_argument) if PLASTICITY_ISA is not one of the
/// three, or is higher than the machine supports.
PLASTICITY_API std::string cpu_instruction_set();

/// The caller's CUDA stream; it does not own the stream. Calls on the CPU are synchronous and ignore it.
struct Stream {
  CUstream_st* handle = nullptr;  ///< a cudaStream_t; null means the default stream
};

}  // namespace plasticity
