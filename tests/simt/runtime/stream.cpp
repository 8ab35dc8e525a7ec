// Streams: queues of work, which runs when a call waits for it.
#include <cstdio>
#include <cstdlib>

#include "simt/config.hpp"
#include "simt/runtime/state.hpp"

namespace simt::runtime {
namespace {

std::shared_ptr<CUstream_st> new_stream(unsigned flags, CUstream_st::Kind kind) {
  auto stream = std::make_shared<CUstream_st>();
  stream->device = current_device;
  stream->flags = flags;
  stream->kind = kind;
  state().streams.push_back(stream);
  return stream;
}

std::shared_ptr<CUstream_st> legacy_stream(int device) {
  for (auto& stream : state().streams)
    if (stream->legacy() && stream->device == device) return stream;
  return new_stream(cudaStreamDefault, CUstream_st::Kind::legacy);
}

bool ready(const CUstream_st& stream) { return !stream.queue.empty() && stream.queue.front().ready(); }

void run_first(const std::shared_ptr<CUstream_st>& stream) {
  State& s = state();
  const auto run = std::move(stream->queue.front().run);
  stream->queue.pop_front();
  ++s.work_done;
  try {
    run();
  } catch (const std::exception& e) {
    s.message = e.what();
    s.sticky = cudaErrorLaunchFailure;
  }
  ++stream->completed;
  if (stream->destroyed && stream->queue.empty()) std::erase(s.streams, stream);
}

}  // namespace

std::shared_ptr<CUstream_st> find_stream(cudaStream_t handle) {
  State& s = state();
  if (handle == nullptr || handle == cudaStreamLegacy) return legacy_stream(current_device);
  if (handle == cudaStreamPerThread) {
    auto& mine = s.per_thread_streams[{std::this_thread::get_id(), current_device}];
    if (!mine) mine = new_stream(cudaStreamDefault, CUstream_st::Kind::per_thread);
    return mine;
  }
  for (auto& stream : s.streams)
    if (stream.get() == handle && !stream->destroyed) return stream;
  return nullptr;
}

std::size_t choose(std::size_t n) {
  State& s = state();
  if (s.random_seed != config().seed) {
    s.random_seed = config().seed;
    s.random.seed(config().seed);
  }
  switch (config().order) {
    case Order::forward: return 0;
    case Order::reverse: return n - 1;
    default: return s.random() % n;
  }
}

void enqueue_now(CUstream_st& stream, std::function<void()> run, std::function<bool()> ready) {
  // The legacy stream comes after all that the blocking streams hold, and before all they get from now on.
  std::vector<std::pair<std::shared_ptr<CUstream_st>, std::uint64_t>> after;
  for (auto& other : state().streams)
    if (other->device == stream.device && other->legacy() != stream.legacy() && other->blocking() &&
        stream.blocking() && other->completed < other->enqueued)
      after.emplace_back(other, other->enqueued);
  auto may_start = [after, ready] {
    for (auto& [other, count] : after)
      if (other->completed < count) return false;
    return !ready || ready();
  };
  stream.queue.push_back({std::move(may_start), std::move(run)});
  ++stream.enqueued;
}

cudaError_t enqueue(cudaStream_t handle, cudaGraphNodeType type, std::function<void()> run,
                    KernelUse kernel) {
  if (const cudaError_t error = broken()) return error;
  const auto stream = find_stream(handle);
  if (!stream) return cudaErrorInvalidResourceHandle;
  if (stream->capture) return add_node(*stream, type, std::move(run), kernel);
  if (stream->legacy())
    if (const cudaError_t error = refuse_legacy_during_capture()) return error;
  enqueue_now(*stream, std::move(run));
  return cudaSuccess;
}

cudaError_t run_until(const std::function<bool()>& finished) {
  State& s = state();
  while (!finished() && s.sticky == cudaSuccess) {  // a broken context runs nothing more
    std::vector<std::shared_ptr<CUstream_st>> able;
    for (auto& stream : s.streams)
      if (ready(*stream)) able.push_back(stream);
    if (able.empty()) {
      std::fprintf(stderr, "simt: the streams wait for each other\n");
      std::abort();
    }
    run_first(able[choose(able.size())]);
  }
  return broken();
}

cudaError_t run_all() {
  return run_until([] {
    for (auto& stream : state().streams)
      if (!stream->queue.empty()) return false;
    return true;
  });
}

}  // namespace simt::runtime

using namespace simt::runtime;

extern "C" {

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* handle, unsigned flags) {
  auto guard = lock();
  if (const cudaError_t error = broken()) return done(error);
  if (!handle || flags & ~unsigned(cudaStreamNonBlocking)) return done(cudaErrorInvalidValue);
  if (const cudaError_t error = acquire()) return done(error);
  *handle = new_stream(flags, CUstream_st::Kind::created).get();
  return cudaSuccess;
}

cudaError_t cudaStreamCreate(cudaStream_t* handle) {
  return cudaStreamCreateWithFlags(handle, cudaStreamDefault);
}

cudaError_t cudaStreamDestroy(cudaStream_t handle) {
  auto guard = lock();
  use_context();
  const auto stream = find_stream(handle);
  if (!stream || stream->kind != CUstream_st::Kind::created) return done(cudaErrorInvalidResourceHandle);
  if (stream->capture) {
    stream->capture->broken = true;
    stream->capture->streams.erase(stream.get());
  }
  for (auto& [blas, used] : state().blas_handles)
    if (used.stream == handle) used.gone = true;
  stream->destroyed = true;  // returns at once, as CUDA's does: queued work runs later
  if (stream->queue.empty()) std::erase(state().streams, stream);
  return done(broken());
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  auto guard = lock();
  ++state().calls.synchronisations;
  if (const cudaError_t error = broken()) return done(error);
  const auto stream = find_stream(handle);
  if (!stream) return done(cudaErrorInvalidResourceHandle);
  if (stream->capture) {
    stream->capture->broken = true;
    return done(cudaErrorStreamCaptureUnsupported);
  }
  return done(run_until([&] { return stream->queue.empty(); }));
}

cudaError_t cudaStreamQuery(cudaStream_t handle) {
  auto guard = lock();
  if (const cudaError_t error = broken()) return done(error);
  const auto stream = find_stream(handle);
  if (!stream) return done(cudaErrorInvalidResourceHandle);
  if (stream->capture) {
    stream->capture->broken = true;
    return done(cudaErrorStreamCaptureUnsupported);
  }
  return done(stream->queue.empty() ? cudaSuccess : cudaErrorNotReady);
}

cudaError_t cudaDeviceSynchronize() {
  auto guard = lock();
  ++state().calls.synchronisations;
  if (const cudaError_t error = broken()) return done(error);
  if (const cudaError_t error = refuse_during_any_capture()) return done(error);
  return done(run_all());
}
}
