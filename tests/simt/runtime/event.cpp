// Events: points in the queue of a stream, or in a captured graph.
#include <algorithm>

#include "simt/runtime/state.hpp"

namespace simt::runtime {

std::shared_ptr<CUevent_st> find_event(cudaEvent_t handle) {
  for (auto& event : state().events)
    if (event.get() == handle && !event->destroyed) return event;
  return nullptr;
}

namespace {

/// Orders a stream after the work before a captured event. The stream joins the capture if it is in none.
cudaError_t wait_in_capture(const std::shared_ptr<CUstream_st>& stream, const CUevent_st& event) {
  if (!event.capture) {
    stream->capture->broken = true;
    return cudaErrorStreamCaptureIsolation;  // a graph cannot wait for work before it
  }
  if (stream->capture && stream->capture != event.capture) {
    stream->capture->broken = event.capture->broken = true;
    return cudaErrorStreamCaptureMerge;
  }
  if (stream->legacy()) {
    event.capture->broken = true;
    return cudaErrorStreamCaptureImplicit;
  }
  stream->capture = event.capture;
  stream->capture->streams.insert(stream.get());
  auto& last = stream->last_nodes;
  for (cudaGraphNode_t node : event.nodes)
    if (std::find(last.begin(), last.end(), node) == last.end()) last.push_back(node);
  return cudaSuccess;
}

bool under_capture(const CUevent_st& event) {
  return event.capture && state().captures.contains(event.capture);
}

}  // namespace
}  // namespace simt::runtime

using namespace simt::runtime;

extern "C" {

cudaError_t cudaEventCreate(cudaEvent_t* handle) {
  auto guard = lock();
  if (const cudaError_t error = broken()) return done(error);
  if (!handle) return done(cudaErrorInvalidValue);
  if (const cudaError_t error = acquire()) return done(error);
  auto event = std::make_shared<CUevent_st>();
  event->device = current_device;
  *handle = event.get();
  state().events.push_back(std::move(event));
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t handle) {
  auto guard = lock();
  const auto event = find_event(handle);
  if (!event) return done(cudaErrorInvalidResourceHandle);
  event->destroyed = true;
  std::erase(state().events, event);  // work that records it keeps it alive
  return done(broken());
}

cudaError_t cudaEventRecord(cudaEvent_t handle, cudaStream_t stream_handle) {
  auto guard = lock();
  if (const cudaError_t error = broken()) return done(error);
  const auto event = find_event(handle);
  const auto stream = find_stream(stream_handle);
  if (!event || !stream || event->device != stream->device) return done(cudaErrorInvalidResourceHandle);
  event->capture = stream->capture;
  event->nodes = stream->last_nodes;
  if (stream->capture) return cudaSuccess;
  if (stream->legacy())
    if (const cudaError_t error = refuse_legacy_during_capture()) return done(error);
  const std::uint64_t count = ++event->recorded;
  enqueue_now(*stream, [event, count] {
    event->reached = std::max(event->reached, count);
    event->time = state().work_done;
  });
  return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream_handle, cudaEvent_t handle, unsigned) {
  auto guard = lock();
  if (const cudaError_t error = broken()) return done(error);
  const auto event = find_event(handle);
  const auto stream = find_stream(stream_handle);
  if (!event || !stream) return done(cudaErrorInvalidResourceHandle);
  if (stream->capture || under_capture(*event)) return done(wait_in_capture(stream, *event));
  const std::uint64_t count = event->recorded;  // later records do not count
  enqueue_now(
      *stream, [] {}, [event, count] { return event->reached >= count; });
  return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t handle) {
  auto guard = lock();
  ++state().calls.synchronisations;
  if (const cudaError_t error = broken()) return done(error);
  const auto event = find_event(handle);
  if (!event) return done(cudaErrorInvalidResourceHandle);
  if (under_capture(*event)) {
    event->capture->broken = true;
    return done(cudaErrorCapturedEvent);
  }
  const std::uint64_t count = event->recorded;
  return done(run_until([&] { return event->reached >= count; }));
}

cudaError_t cudaEventQuery(cudaEvent_t handle) {
  auto guard = lock();
  if (const cudaError_t error = broken()) return done(error);
  const auto event = find_event(handle);
  if (!event) return done(cudaErrorInvalidResourceHandle);
  if (under_capture(*event)) {
    event->capture->broken = true;
    return done(cudaErrorCapturedEvent);
  }
  return done(event->reached >= event->recorded ? cudaSuccess : cudaErrorNotReady);
}

/// There is no clock: each piece of work on any stream takes a microsecond.
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin_handle, cudaEvent_t end_handle) {
  auto guard = lock();
  const auto begin = find_event(begin_handle), end = find_event(end_handle);
  if (!begin || !end || !begin->recorded || !end->recorded) return done(cudaErrorInvalidResourceHandle);
  if (begin->reached < begin->recorded || end->reached < end->recorded) return done(cudaErrorNotReady);
  *milliseconds = 1e-3f * (float(end->time) - float(begin->time));
  return cudaSuccess;
}
}
