// The state of the fake runtime, all of it behind one mutex.
#pragma once

#include <cuda_runtime_api.h>

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "simt/runtime.hpp"

namespace simt::runtime {

/// The launch of a node, with its dynamic shared memory per block. Null: no kernel.
struct KernelUse {
  const void* function = nullptr;
  std::size_t shared_bytes = 0;
};

}  // namespace simt::runtime

/// One step of a graph: it runs after those it depends on.
struct CUgraphNode_st {
  cudaGraphNodeType type;
  std::function<void()> run;
  std::vector<cudaGraphNode_t> after;
  simt::runtime::KernelUse kernel;
};
struct CUgraph_st {
  std::vector<std::shared_ptr<CUgraphNode_st>> nodes;
};
struct CUgraphExec_st {
  CUgraph_st graph;  // the nodes are shared with the graph they come from, and immutable
  int device = 0;
};

namespace simt::runtime {

/// A graph in the making. Shared by the streams that take part in it.
struct Capture {
  cudaStreamCaptureMode mode;
  std::thread::id thread;
  cudaStream_t origin;
  CUgraph_st graph;
  std::set<cudaStream_t> streams;
  bool broken = false;
};

/// A piece of work on a stream: it may start when `ready`.
struct Work {
  std::function<bool()> ready;
  std::function<void()> run;
};

}  // namespace simt::runtime

struct CUstream_st {
  int device = 0;
  unsigned flags = 0;
  std::deque<simt::runtime::Work> queue;
  std::uint64_t enqueued = 0, completed = 0;
  enum class Kind { created, legacy, per_thread } kind = Kind::created;
  bool destroyed = false;  // the handle is destroyed; queued work still runs
  std::shared_ptr<simt::runtime::Capture> capture;
  std::vector<cudaGraphNode_t> last_nodes;  // while captured: the nodes before the next node

  bool legacy() const { return kind == Kind::legacy; }
  /// Ordered with the legacy default stream.
  bool blocking() const { return !(flags & cudaStreamNonBlocking); }
};

struct CUevent_st {
  int device = 0;
  bool destroyed = false;
  std::uint64_t recorded = 0, reached = 0;
  std::uint64_t time = 0;                           // in pieces of work that had run when it was reached
  std::shared_ptr<simt::runtime::Capture> capture;  // the capture of its last record, if any
  std::vector<cudaGraphNode_t> nodes;
};

struct cublasContext;

namespace simt::runtime {

enum class Memory { device, pinned_host };
struct Allocation {
  std::size_t bytes = 0;
  Memory kind = Memory::device;
  int device = 0;
};

// The limits of an H100.
constexpr int shared_bytes_per_block = 227 * 1024;      // after cudaFuncSetAttribute
constexpr int shared_bytes_without_opt_in = 48 * 1024;  // before
constexpr int reserved_shared_bytes = 1024;             // of each block, for CUDA itself
constexpr int shared_bytes_per_multiprocessor = 228 * 1024;
constexpr int max_threads_per_block = 1024;
constexpr int threads_per_multiprocessor = 2048;
constexpr int blocks_per_multiprocessor = 32;
constexpr int registers_per_multiprocessor = 65536;
constexpr int l2_bytes = 50 << 20;

/// The attributes of a kernel on one device.
struct KernelAttributes {
  int shared_bytes = shared_bytes_without_opt_in;
  bool large_clusters = false;
};
using KernelOnDevice = std::pair<const void*, int>;

/// Code that CUDA or cuBLAS loads at its first use: a kernel, or a shape of GEMM (m, n, k), on a device.
struct Loadable {
  const void* function;
  int device;
  std::array<std::int64_t, 3> shape{};
  auto operator<=>(const Loadable&) const = default;
};

/// The stream of a cuBLAS handle; `gone` once that was destroyed.
struct BlasStream {
  cudaStream_t stream = nullptr;
  bool gone = false;
};

struct DeviceModel {
  int count = 1;
  cudaError_t absent = cudaErrorNoDevice;
  int major = 9, minor = 0, multiprocessors = 132;
  std::size_t memory = std::size_t(4) << 30;
};

struct State {
  State();
  std::recursive_mutex mutex;
  DeviceModel model;
  std::map<const char*, Allocation> allocations;
  std::size_t device_bytes = 0;
  std::deque<std::pair<char*, std::size_t>> freed;  // see free_late()
  std::size_t freed_bytes = 0;
  std::vector<std::shared_ptr<CUstream_st>> streams;
  std::map<std::pair<std::thread::id, int>, std::shared_ptr<CUstream_st>>
      per_thread_streams;  // by thread and device
  std::vector<std::shared_ptr<CUevent_st>> events;
  std::vector<std::unique_ptr<CUgraph_st>> graphs;
  std::vector<std::unique_ptr<CUgraphExec_st>> executables;
  std::set<std::shared_ptr<Capture>> captures;
  std::map<KernelOnDevice, KernelAttributes> kernel_attributes;
  std::map<std::string, KernelResources> kernel_resources;  // by a part of the name of a parameter's type
  std::set<Loadable> loaded;
  std::map<cublasContext*, BlasStream> blas_handles;
  Calls calls;
  std::int64_t acquisitions_until_failure = -1, updates_until_failure = -1;
  cudaError_t update_failure = cudaSuccess;
  unsigned most_cluster_blocks = 16;
  cudaError_t cluster_refusal = cudaSuccess;
  std::function<void()> before_launch, before_gemm;
  bool fail_next_kernel = false;
  cudaError_t sticky = cudaSuccess;
  std::string message;
  std::uint64_t work_done = 0, kernels_run = 0;
  std::mt19937_64 random;
  std::uint64_t random_seed = 0;  // config().seed when `random` was made
  std::set<int> contexts;         // the devices with a context
  bool unbinding_resets_device = false;
};
State& state();

/// Holds the mutex, hidden from ThreadSanitizer after hide_lock().
class Lock {
 public:
  Lock();
  ~Lock();
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  bool hidden_;
};
inline Lock lock() { return Lock(); }

extern constinit thread_local int current_device;
extern constinit thread_local bool has_context;  // of current_device

/// Creates the context of the current device and makes it current, as every call does that needs one.
void use_context();

/// Every call returns through this: it remembers an error as the thread's last.
cudaError_t done(cudaError_t error = cudaSuccess);

/// The error of every call: no device, or a broken context.
cudaError_t broken();

/// Counts an acquisition. Returns an error if a test wants this one to fail.
cudaError_t acquire();

// --- streams (stream.cpp)

/// The stream behind a handle: the legacy and the per-thread default stream too. Null if there is none.
std::shared_ptr<CUstream_st> find_stream(cudaStream_t handle);
/// Puts work on a stream, or into the graph that the stream is captured into.
cudaError_t enqueue(cudaStream_t handle, cudaGraphNodeType type, std::function<void()> run,
                    KernelUse kernel = {});
/// Notes that a kernel or a GEMM is put on a stream, directly or into a graph: see Calls::cold_captures.
void load(const CUstream_st& stream, const Loadable& used);
/// Calls and forgets one of the calls that a test wants made. The caller does not hold the lock.
void call_once(std::function<void()> State::*wanted);
/// Puts work on a stream that is not captured.
void enqueue_now(CUstream_st& stream, std::function<void()> run, std::function<bool()> ready = nullptr);
/// A number below n as the schedule wants it: the first, the last, or any.
std::size_t choose(std::size_t n);
/// Runs queued work, in an order the schedule chooses, until `finished`.
cudaError_t run_until(const std::function<bool()>& finished);
cudaError_t run_all();

// --- events (event.cpp)
std::shared_ptr<CUevent_st> find_event(cudaEvent_t handle);

// --- graphs (graph.cpp)

/// For a call that is unsafe while a graph is captured, as cudaMalloc: breaks the capture and returns its
/// error.
cudaError_t refuse_during_capture();
/// For a call that waits for everything, as cudaDeviceSynchronize.
cudaError_t refuse_during_any_capture();
/// For work on the legacy stream, which would have to order itself with the streams under capture.
cudaError_t refuse_legacy_during_capture();
cudaError_t add_node(CUstream_st& stream, cudaGraphNodeType type, std::function<void()> run,
                     KernelUse kernel);

// --- kernels (launch.cpp)

/// Whether all kernels of a graph may have the shared memory that they were captured with.
cudaError_t check_shared_bytes(const CUgraph_st& graph, int device);

// --- memory (memory.cpp)
struct Found {
  const char* begin = nullptr;  // null: not the runtime's
  Allocation allocation;
};
Found find_allocation(const void* p);

}  // namespace simt::runtime
