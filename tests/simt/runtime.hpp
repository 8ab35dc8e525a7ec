// Controls of the fake CUDA runtime, which tests link instead of libcudart. Free of CUDA headers.
//
// Work put on a stream waits until someone waits for it, and then runs at the latest legal moment, streams
// interleaved by the schedule's seed: a forgotten synchronisation shows every time. Its functions are the
// ordinary ones of cuda_runtime_api.h; one that a program needs and that is not here does not link, which
// says its name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace simt::runtime {

/// What can be acquired and must be given back.
struct StepState {
  std::size_t allocations = 0, bytes = 0, streams = 0, events = 0, graphs = 0, blas_handles = 0;
  friend bool operator==(const StepState&, const StepState&) = default;
};
StepState step_state();

/// How often each kind of call was made since reset(). For "one launch a step", "no allocation", "no
/// synchronisation".
struct Calls {
  std::uint64_t acquisitions = 0;  ///< allocations, streams, events, graphs, handles
  std::uint64_t launches = 0;      ///< kernels and GEMMs put on a stream or into a graph
  std::uint64_t graph_launches = 0;
  std::uint64_t copies = 0;  ///< copies and memsets
  /// Calls that wait on the host, those that do so implicitly (cudaFree) too.
  std::uint64_t synchronisations = 0;
};
Calls calls();

/// The k-th acquisition from now (0: the next) fails with cudaErrorMemoryAllocation, once.
void fail_acquisition(std::uint64_t k);

/// The next kernel to run faults: a sticky cudaErrorLaunchFailure.
void fail_next_kernel();

/// What the device has; 4 GiB at the start.
void set_memory_limit(std::size_t bytes);

/// How many devices there are; 1 at the start. With none, every call returns `error`, a cudaError_t: 100
/// means no device, 35 that the driver is too old or missing.
void set_device_count(int count, int error = 100);

/// Compute capability and multiprocessors of every device; 9.0 and 132 at the start.
void set_device(int major, int minor, int multiprocessors);

/// What the executor said about the kernel that faulted.
std::string last_message();

/// Sets all of the above back and forgets errors, the sticky one too (a real process would have to be started
/// anew), and calls(). Work still queued is dropped; what is allocated stays.
void reset();

}  // namespace simt::runtime
