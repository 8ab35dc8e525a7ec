// The controls of the tests, and the last error of a thread.
#include "simt/runtime/state.hpp"

#include <atomic>
#include <utility>

#include "simt/config.hpp"
#include "simt/executor/sanitizer.hpp"
#include "simt/runtime/resources.hpp"

namespace simt::runtime {

constinit thread_local int current_device = 0;
constinit thread_local bool has_context = false;

void use_context() {
  if (state().model.count == 0) return;
  state().contexts.insert(current_device);
  has_context = true;
}

namespace {
thread_local cudaError_t last_error = cudaSuccess;
}

State::State() : kernel_resources(library_kernels) {}

State& state() {
  static State s;
  return s;
}

namespace {
std::atomic<bool> lock_is_hidden = false;
}

Lock::Lock() : hidden_(lock_is_hidden) {
  if (hidden_) begin_unseen();
  state().mutex.lock();
}

Lock::~Lock() {
  state().mutex.unlock();
  if (hidden_) end_unseen();
}

void hide_lock(bool hidden) { lock_is_hidden = hidden; }

cudaError_t done(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
  return error;
}

cudaError_t broken() {
  use_context();
  const State& s = state();
  return s.model.count == 0 ? s.model.absent : s.sticky;
}

cudaError_t acquire() {
  State& s = state();
  ++s.calls.acquisitions;
  if (s.acquisitions_until_failure < 0) return cudaSuccess;
  return s.acquisitions_until_failure-- == 0 ? cudaErrorMemoryAllocation : cudaSuccess;
}

Live live() {
  auto guard = lock();
  const State& s = state();
  Live n;
  for (auto& [p, allocation] : s.allocations) n.bytes += allocation.bytes;
  n.allocations = s.allocations.size();
  for (auto& stream : s.streams)
    n.streams += !stream->destroyed && stream->kind == CUstream_st::Kind::created;
  for (auto& event : s.events) n.events += !event->destroyed;
  n.graphs = s.graphs.size() + s.executables.size();
  n.blas_handles = s.blas_handles.size();
  return n;
}

Calls calls() {
  auto guard = lock();
  return state().calls;
}

void fail_acquisition(std::uint64_t k) {
  auto guard = lock();
  state().acquisitions_until_failure = std::int64_t(k);
}

void fail_update(std::uint64_t k, int error) {
  auto guard = lock();
  state().updates_until_failure = std::int64_t(k);
  state().update_failure = cudaError_t(error);
}

void before_launch(std::function<void()> call) {
  auto guard = lock();
  state().before_launch = std::move(call);
}

void before_gemm(std::function<void()> call) {
  auto guard = lock();
  state().before_gemm = std::move(call);
}

void call_once(std::function<void()> State::*wanted) {
  std::function<void()> call;
  {
    auto guard = lock();
    call = std::exchange(state().*wanted, nullptr);
  }
  if (call) call();
}

void refuse_clusters_above(unsigned most, int error) {
  auto guard = lock();
  state().most_cluster_blocks = most;
  state().cluster_refusal = cudaError_t(error);
}

void set_resources(const std::string& name, KernelResources resources) {
  auto guard = lock();
  state().kernel_resources[name] = resources;
}

void fail_next_kernel() {
  auto guard = lock();
  state().fail_next_kernel = true;
}

void set_memory_limit(std::size_t bytes) {
  auto guard = lock();
  state().model.memory = bytes;
}

void set_device_count(int count, int error) {
  auto guard = lock();
  state().model.count = count;
  state().model.absent = cudaError_t(error);
}

std::set<int> contexts() {
  auto guard = lock();
  return state().contexts;
}

void set_unbinding_resets_device(bool resets) {
  auto guard = lock();
  state().unbinding_resets_device = resets;
}

void set_device(int major, int minor, int multiprocessors) {
  auto guard = lock();
  DeviceModel& model = state().model;
  model.major = major;
  model.minor = minor;
  model.multiprocessors = multiprocessors;
}

std::string last_message() {
  auto guard = lock();
  return state().message;
}

void reset() {
  auto guard = lock();
  State& s = state();
  s.model = {};
  s.calls = {};
  s.acquisitions_until_failure = s.updates_until_failure = -1;
  s.most_cluster_blocks = 16;
  s.before_launch = s.before_gemm = nullptr;
  s.kernel_resources = library_kernels;
  s.loaded.clear();
  s.fail_next_kernel = false;
  s.sticky = last_error = cudaSuccess;
  s.message.clear();
  s.work_done = s.kernels_run = 0;
  s.random_seed = config().seed;
  s.random.seed(config().seed);
  current_device = 0;
  s.contexts.clear();
  s.unbinding_resets_device = has_context = false;
  for (auto& stream : s.streams) {
    stream->completed += stream->queue.size();
    stream->queue.clear();
    stream->capture.reset();
    stream->last_nodes.clear();
  }
  for (auto& event : s.events) event->reached = event->recorded;
  s.captures.clear();
  std::erase_if(s.streams, [](auto& stream) { return stream->destroyed; });
}

}  // namespace simt::runtime

using namespace simt::runtime;

extern "C" {

cudaError_t cudaGetLastError() {
  auto guard = lock();
  const cudaError_t error = state().sticky != cudaSuccess ? state().sticky : last_error;
  last_error = cudaSuccess;
  return error;
}

cudaError_t cudaPeekAtLastError() {
  auto guard = lock();
  return state().sticky != cudaSuccess ? state().sticky : last_error;
}
}
