// Device memory and page-locked host memory.
#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "simt/executor/sanitizer.hpp"
#include "simt/runtime/state.hpp"

namespace simt::runtime {

Found find_allocation(const void* p) {
  State& s = state();
  auto after = s.allocations.upper_bound(static_cast<const char*>(p));
  if (after == s.allocations.begin()) return {};
  auto [begin, allocation] = *std::prev(after);
  if (static_cast<const char*>(p) >= begin + allocation.bytes) return {};
  return {begin, allocation};
}

namespace {

/// 0 if a test has set the limit below the memory in use.
std::size_t free_device_bytes() {
  const State& s = state();
  return s.model.memory - std::min(s.model.memory, s.device_bytes);
}

cudaError_t allocate(void** p, std::size_t bytes, Memory kind) {
  auto guard = lock();
  State& s = state();
  if (const cudaError_t error = broken()) return done(error);
  if (!p) return done(cudaErrorInvalidValue);
  if (const cudaError_t error = refuse_during_capture()) return done(error);
  *p = nullptr;
  if (const cudaError_t error = acquire()) return done(error);
  if (bytes == 0) return cudaSuccess;
  if (kind == Memory::device && bytes > free_device_bytes()) return done(cudaErrorMemoryAllocation);
  if (posix_memalign(p, 256, bytes)) return done(cudaErrorMemoryAllocation);
  Quiet quiet;
  std::memset(*p, 0xff, bytes);  // reads as NaN; never zero by luck
  s.allocations[static_cast<const char*>(*p)] = {bytes, kind, current_device};
  if (kind == Memory::device) s.device_bytes += bytes;
  return cudaSuccess;
}

/// Frees a block later, so that work that still has its address reads NaN and not the values of the next
/// block. AddressSanitizer does that itself.
void free_late(char* p, std::size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
  std::free(p);
#else
  constexpr std::size_t max_bytes = std::size_t(32) << 20;
  State& s = state();
  Quiet quiet;
  std::memset(p, 0xff, bytes);
  s.freed.emplace_back(p, bytes);
  s.freed_bytes += bytes;
  while (s.freed_bytes > max_bytes) {
    s.freed_bytes -= s.freed.front().second;
    std::free(s.freed.front().first);
    s.freed.pop_front();
  }
#endif
}

void deallocate(const char* p) {
  State& s = state();
  const auto it = s.allocations.find(p);
  const std::size_t bytes = it->second.bytes;
  if (it->second.kind == Memory::device) s.device_bytes -= bytes;
  s.allocations.erase(it);
  free_late(const_cast<char*>(p), bytes);
}

/// Free first waits for the device, as CUDA's does in practice, because queued work may still use the memory.
cudaError_t free_after_all_work(void* p, Memory kind) {
  auto guard = lock();
  if (!p) return done(broken());
  use_context();
  const Found found = find_allocation(p);
  if (found.begin != p || found.allocation.kind != kind) return done(cudaErrorInvalidValue);
  if (const cudaError_t error = refuse_during_capture()) return done(error);
  ++state().calls.synchronisations;
  const cudaError_t error = run_all();
  deallocate(static_cast<const char*>(p));  // also in a broken context: a fault is no leak
  return done(error);
}

}  // namespace
}  // namespace simt::runtime

using namespace simt::runtime;

extern "C" {

cudaError_t cudaMalloc(void** p, size_t bytes) { return allocate(p, bytes, Memory::device); }
cudaError_t cudaMallocHost(void** p, size_t bytes) { return allocate(p, bytes, Memory::pinned_host); }
cudaError_t cudaFree(void* p) { return free_after_all_work(p, Memory::device); }
cudaError_t cudaFreeHost(void* p) { return free_after_all_work(p, Memory::pinned_host); }

cudaError_t cudaMemGetInfo(size_t* free_bytes, size_t* total) {
  auto guard = lock();
  if (const cudaError_t error = broken()) return done(error);
  const State& s = state();
  *total = s.model.memory;
  *free_bytes = free_device_bytes();
  return cudaSuccess;
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* p) {
  auto guard = lock();
  if (const cudaError_t error = broken()) return done(error);
  if (!attributes) return done(cudaErrorInvalidValue);
  const Found found = find_allocation(p);
  void* const address = const_cast<void*>(p);
  *attributes = {};
  attributes->type = cudaMemoryTypeUnregistered;
  attributes->device = cudaInvalidDeviceId;
  if (!found.begin) return cudaSuccess;
  attributes->device = found.allocation.device;
  attributes->devicePointer = address;
  attributes->type = cudaMemoryTypeDevice;
  if (found.allocation.kind == Memory::pinned_host) {
    attributes->type = cudaMemoryTypeHost;
    attributes->hostPointer = address;
  }
  return cudaSuccess;
}
}
