// Controls of the fake CUDA runtime, which tests link instead of libcudart. Includes no CUDA headers.
//
// Work on a stream runs at the latest legal moment, when a call synchronizes with it, with streams
// interleaved by the schedule's seed. A missing synchronisation therefore fails every time. The functions are
// those of cuda_runtime_api.h. A program that calls a missing one does not link.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <set>
#include <string>

namespace simt::runtime {

/// Resources that are acquired and must be released.
struct Live {
  std::size_t allocations = 0, bytes = 0, streams = 0, events = 0, graphs = 0, blas_handles = 0;
  friend bool operator==(const Live&, const Live&) = default;
};
Live live();

/// The number of calls of each kind since reset(), for tests such as "one launch per step" or "no
/// allocation".
struct Calls {
  std::uint64_t acquisitions = 0;  ///< allocations, streams, events, graphs, handles
  std::uint64_t launches = 0;      ///< kernels and GEMMs put on a stream or into a graph
  std::uint64_t graph_launches = 0;
  std::uint64_t copies = 0;  ///< copies and memsets
  /// Calls that synchronize on the host, including implicit ones (cudaFree, cublasDestroy).
  std::uint64_t synchronisations = 0;
  /// Kernels and shapes of GEMMs that had run nowhere when they were recorded into a graph. CUDA loads a
  /// kernel at its first launch, cuBLAS chooses and loads one at the first product of a shape.
  std::uint64_t cold_captures = 0;
};
Calls calls();

/// The k-th acquisition from now (0: the next) fails with cudaErrorMemoryAllocation, once.
void fail_acquisition(std::uint64_t k);

/// Hides the runtime's lock and its memory accesses from ThreadSanitizer. The lock orders all threads that
/// call CUDA, so without this a race between their own accesses is not found. Call it while one thread runs;
/// kernels must not run meanwhile (see Config::only_block).
void hide_lock(bool hidden);

/// The next kernel to run faults: a sticky cudaErrorLaunchFailure.
void fail_next_kernel();

/// The k-th graph update from now (0: the next) fails with `error`, a cudaError_t, once.
void fail_update(std::uint64_t k, int error);

/// Calls `call` once, on the thread of the next kernel launch, before the launch is checked.
void before_launch(std::function<void()> call);

/// Calls `call` once, on the thread of the next GEMM, before the GEMM is checked.
void before_gemm(std::function<void()> call);

/// The device has no room for clusters of more than `most` blocks. A query of the occupancy returns `error`,
/// a cudaError_t, or, if that is 0, the answer 0.
void refuse_clusters_above(unsigned most, int error);

/// The resources of a multiprocessor that a kernel uses. The types of its parameters identify a kernel.
struct KernelResources {
  int registers = 32;                   ///< of a thread
  std::size_t static_shared_bytes = 0;  ///< of a block
  /// Whether the kernels have launch bounds of different sizes, by which one block of each launch has enough
  /// registers. `registers` is then the maximum over the kernels, and a kernel for large blocks has fewer.
  bool one_block_fits = false;
};

/// Sets the resources of all kernels with a parameter whose type has `name` in its name. At the start the
/// library's kernels have those of runtime/resources.hpp.
void set_resources(const std::string& name, KernelResources resources);

/// The memory of the device; 4 GiB initially.
void set_memory_limit(std::size_t bytes);

/// How many devices there are; 1 at the start. With none, every call returns `error`, a cudaError_t: 100
/// means no device, 35 that the driver is too old or missing.
void set_device_count(int count, int error = 100);

/// The devices with a context since reset(). cudaSetDevice() creates one, and so does every call on a
/// device's memory, streams, events and graphs, on the thread's current device.
std::set<int> contexts();

/// Whether device 0 is current in a thread after cuCtxSetCurrent(nullptr), or still the device before. CUDA
/// does not document it.
void set_unbinding_resets_device(bool resets);

/// Compute capability and multiprocessors of every device; 9.0 and 132 at the start.
void set_device(int major, int minor, int multiprocessors);

/// The executor's message about the kernel that faulted.
std::string last_message();

/// Resets all of the above, calls() and errors, including the sticky error (a real process would have to
/// restart). Drops queued work; keeps allocations.
void reset();

}  // namespace simt::runtime
