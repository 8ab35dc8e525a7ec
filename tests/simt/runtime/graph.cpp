// Stream capture and graphs. A node has a list of the nodes before it, and a launch runs the nodes in any
// order that respects these lists. Not supported: memory nodes, graphs built by hand.
#include <algorithm>

#include "simt/runtime/state.hpp"

namespace simt::runtime {
namespace {

/// All that must have run before the end of `stream`, found from its last nodes backwards.
std::set<cudaGraphNode_t> ancestors(const std::vector<cudaGraphNode_t>& last) {
  std::set<cudaGraphNode_t> found;
  std::vector<cudaGraphNode_t> open = last;
  while (!open.empty()) {
    cudaGraphNode_t node = open.back();
    open.pop_back();
    if (found.insert(node).second) open.insert(open.end(), node->after.begin(), node->after.end());
  }
  return found;
}

void leave_capture(const Capture& capture) {
  for (auto& stream : state().streams) {
    if (stream->capture.get() != &capture) continue;
    stream->capture.reset();
    stream->last_nodes.clear();
  }
}

void run_graph(const CUgraph_st& graph) {
  std::set<cudaGraphNode_t> done_nodes;
  std::vector<cudaGraphNode_t> open;
  for (auto& node : graph.nodes) open.push_back(node.get());
  while (!open.empty()) {
    std::vector<std::size_t> able;
    for (std::size_t i = 0; i < open.size(); ++i)
      if (std::all_of(open[i]->after.begin(), open[i]->after.end(),
                      [&](auto n) { return done_nodes.contains(n); }))
        able.push_back(i);
    const std::size_t next = able[choose(able.size())];
    open[next]->run();
    done_nodes.insert(open[next]);
    open.erase(open.begin() + std::ptrdiff_t(next));
  }
}

/// Whether two graphs have nodes of the same types, in the same order, after the same nodes.
bool same_form(const CUgraph_st& a, const CUgraph_st& b) {
  if (a.nodes.size() != b.nodes.size()) return false;
  std::map<cudaGraphNode_t, cudaGraphNode_t> in_b;  // by the node of a
  for (std::size_t i = 0; i < a.nodes.size(); ++i) {
    const CUgraphNode_st &node = *a.nodes[i], &other = *b.nodes[i];
    if (node.type != other.type || node.after.size() != other.after.size()) return false;
    for (std::size_t k = 0; k < node.after.size(); ++k)
      if (in_b[node.after[k]] != other.after[k]) return false;
    in_b[a.nodes[i].get()] = b.nodes[i].get();
  }
  return true;
}

template <class T>
bool contains(const std::vector<std::unique_ptr<T>>& owned, T* handle) {
  return std::any_of(owned.begin(), owned.end(), [&](auto& p) { return p.get() == handle; });
}

template <class T>
cudaError_t drop(std::vector<std::unique_ptr<T>>& owned, T* handle) {
  const auto removed = std::erase_if(owned, [&](auto& p) { return p.get() == handle; });
  return done(removed ? cudaSuccess : cudaErrorInvalidValue);
}

}  // namespace

cudaError_t add_node(CUstream_st& stream, cudaGraphNodeType type, std::function<void()> run,
                     KernelUse kernel) {
  Capture& capture = *stream.capture;
  if (capture.broken) return cudaErrorStreamCaptureInvalidated;
  capture.graph.nodes.push_back(
      std::make_shared<CUgraphNode_st>(type, std::move(run), stream.last_nodes, kernel));
  stream.last_nodes = {capture.graph.nodes.back().get()};
  return cudaSuccess;
}

cudaError_t refuse_during_capture() {
  for (auto& capture : state().captures) {
    const bool mine = capture->thread == std::this_thread::get_id();
    const bool concerned =
        mine ? capture->mode != cudaStreamCaptureModeRelaxed : capture->mode == cudaStreamCaptureModeGlobal;
    if (!concerned) continue;
    capture->broken = true;
    return cudaErrorStreamCaptureUnsupported;
  }
  return cudaSuccess;
}

cudaError_t refuse_during_any_capture() {
  for (auto& capture : state().captures) capture->broken = true;
  return state().captures.empty() ? cudaSuccess : cudaErrorStreamCaptureUnsupported;
}

cudaError_t refuse_legacy_during_capture() {
  for (auto& capture : state().captures) {
    for (cudaStream_t stream : capture->streams) {
      if (!stream->blocking()) continue;
      capture->broken = true;
      return cudaErrorStreamCaptureImplicit;
    }
  }
  return cudaSuccess;
}

}  // namespace simt::runtime

using namespace simt::runtime;

extern "C" {

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode) {
  auto guard = lock();
  if (const cudaError_t error = broken()) return done(error);
  const auto stream = find_stream(handle);
  if (!stream) return done(cudaErrorInvalidResourceHandle);
  if (stream->legacy()) return done(cudaErrorStreamCaptureUnsupported);
  if (stream->capture) return done(cudaErrorIllegalState);
  auto capture = std::make_shared<Capture>();
  capture->mode = mode;
  capture->thread = std::this_thread::get_id();
  capture->origin = stream.get();
  capture->streams = {stream.get()};
  stream->capture = capture;
  stream->last_nodes.clear();
  state().captures.insert(std::move(capture));
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph) {
  auto guard = lock();
  if (graph) *graph = nullptr;
  const auto stream = find_stream(handle);
  if (!stream) return done(cudaErrorInvalidResourceHandle);
  if (!stream->capture) return done(cudaErrorIllegalState);
  const auto capture = stream->capture;
  if (capture->origin != stream.get()) return done(cudaErrorStreamCaptureUnmatched);
  if (capture->mode != cudaStreamCaptureModeRelaxed && capture->thread != std::this_thread::get_id())
    return done(cudaErrorStreamCaptureWrongThread);

  const std::set<cudaGraphNode_t> joined = ancestors(stream->last_nodes);
  const bool all_joined = joined.size() == capture->graph.nodes.size();
  state().captures.erase(capture);
  leave_capture(*capture);
  if (capture->broken) return done(cudaErrorStreamCaptureInvalidated);
  if (!all_joined) return done(cudaErrorStreamCaptureUnjoined);
  if (const cudaError_t error = acquire()) return done(error);
  state().graphs.push_back(std::make_unique<CUgraph_st>(capture->graph));
  *graph = state().graphs.back().get();
  return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
  auto guard = lock();
  const auto stream = find_stream(handle);
  if (!stream) return done(cudaErrorInvalidResourceHandle);
  if (stream->legacy())
    if (const cudaError_t error = refuse_legacy_during_capture()) return done(error);
  *status = !stream->capture          ? cudaStreamCaptureStatusNone
            : stream->capture->broken ? cudaStreamCaptureStatusInvalidated
                                      : cudaStreamCaptureStatusActive;
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  auto guard = lock();
  if (const cudaError_t error = broken()) return done(error);
  if (!contains(state().graphs, graph)) return done(cudaErrorInvalidValue);
  if (const cudaError_t error = check_shared_bytes(*graph, current_device)) return done(error);
  if (const cudaError_t error = acquire()) return done(error);
  state().executables.push_back(std::make_unique<CUgraphExec_st>(*graph, current_device));
  *executable = state().executables.back().get();
  return cudaSuccess;
}

/// Copies the work of the nodes from another graph of the same form. A launch in progress does not change.
cudaError_t cudaGraphExecUpdate(cudaGraphExec_t executable, cudaGraph_t graph,
                                cudaGraphExecUpdateResultInfo* result) {
  auto guard = lock();
  if (const cudaError_t error = broken()) return done(error);
  if (!contains(state().executables, executable) || !contains(state().graphs, graph))
    return done(cudaErrorInvalidValue);
  if (state().updates_until_failure >= 0 && state().updates_until_failure-- == 0) {
    if (result) result->result = cudaGraphExecUpdateError;
    return done(state().update_failure);
  }
  if (const cudaError_t error = check_shared_bytes(*graph, executable->device)) return done(error);
  if (!same_form(executable->graph, *graph)) {
    if (result) result->result = cudaGraphExecUpdateErrorTopologyChanged;
    return done(cudaErrorGraphExecUpdateFailure);
  }
  if (result) result->result = cudaGraphExecUpdateSuccess;
  executable->graph = *graph;
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t handle) {
  auto guard = lock();
  if (const cudaError_t error = broken()) return done(error);
  if (!contains(state().executables, executable)) return done(cudaErrorInvalidValue);
  ++state().calls.graph_launches;
  return done(enqueue(handle, cudaGraphNodeTypeGraph, [graph = executable->graph] { run_graph(graph); }));
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  auto guard = lock();
  return drop(state().graphs, graph);
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  auto guard = lock();
  use_context();
  return drop(state().executables, executable);
}

/// With null `nodes`, only their number.
cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, size_t* count) {
  auto guard = lock();
  if (!contains(state().graphs, graph) || !count) return done(cudaErrorInvalidValue);
  const std::size_t room = nodes ? *count : 0;
  *count = nodes ? std::min(room, graph->nodes.size()) : graph->nodes.size();
  for (std::size_t i = 0; i < room; ++i) nodes[i] = i < *count ? graph->nodes[i].get() : nullptr;
  return cudaSuccess;
}

cudaError_t cudaGraphNodeGetType(cudaGraphNode_t node, cudaGraphNodeType* type) {
  *type = node->type;
  return cudaSuccess;
}
}
