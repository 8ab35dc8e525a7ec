// Copies and memsets, with the kinds of memory that CUDA accepts for each.
#include <cstring>

#include "simt/runtime/state.hpp"

namespace simt::runtime {
namespace {

/// Whether the bytes [p, p + bytes) may be the device side of a copy, or the host side.
bool on_device(const void* p, std::size_t bytes) {
  const Found found = find_allocation(p);
  if (!found.begin || found.allocation.kind != Memory::device) return false;
  return static_cast<const char*>(p) + bytes <= found.begin + found.allocation.bytes;
}
bool on_host(const void* p, std::size_t bytes) {
  const Found found = find_allocation(p);
  if (!found.begin) return p != nullptr;
  return found.allocation.kind == Memory::pinned_host &&
         static_cast<const char*>(p) + bytes <= found.begin + found.allocation.bytes;
}

bool legal(const void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  switch (kind) {
    case cudaMemcpyHostToHost: return on_host(to, bytes) && on_host(from, bytes);
    case cudaMemcpyHostToDevice: return on_device(to, bytes) && on_host(from, bytes);
    case cudaMemcpyDeviceToHost: return on_host(to, bytes) && on_device(from, bytes);
    case cudaMemcpyDeviceToDevice: return on_device(to, bytes) && on_device(from, bytes);
    case cudaMemcpyDefault:
      return (on_device(to, bytes) || on_host(to, bytes)) && (on_device(from, bytes) || on_host(from, bytes));
  }
  return false;
}

cudaError_t wait_for(cudaStream_t handle) {
  ++state().calls.synchronisations;
  const auto stream = find_stream(handle);
  return run_until([&] { return stream->queue.empty(); });
}

}  // namespace
}  // namespace simt::runtime

using namespace simt::runtime;

extern "C" {

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  auto guard = lock();
  if (const cudaError_t error = broken()) return done(error);
  if (bytes && !legal(to, from, bytes, kind)) return done(cudaErrorInvalidValue);
  ++state().calls.copies;
  return done(enqueue(stream, cudaGraphNodeTypeMemcpy, [=] { std::memcpy(to, from, bytes); }));
}

cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  auto guard = lock();
  if (const cudaError_t error = refuse_during_capture()) return done(error);
  if (const cudaError_t error = cudaMemcpyAsync(to, from, bytes, kind, nullptr)) return error;
  return done(wait_for(nullptr));
}

cudaError_t cudaMemsetAsync(void* p, int value, size_t bytes, cudaStream_t stream) {
  auto guard = lock();
  if (const cudaError_t error = broken()) return done(error);
  if (bytes && !on_device(p, bytes)) return done(cudaErrorInvalidValue);
  ++state().calls.copies;
  return done(enqueue(stream, cudaGraphNodeTypeMemset, [=] { std::memset(p, value, bytes); }));
}

cudaError_t cudaMemset(void* p, int value, size_t bytes) {
  auto guard = lock();
  if (const cudaError_t error = refuse_during_capture()) return done(error);
  return cudaMemsetAsync(p, value, bytes, nullptr);  // asynchronous for device memory, in CUDA too
}
}
