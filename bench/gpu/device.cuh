// Owners, timing and lines of JSON, shared by ceilings.cu and exchange.cu.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdio>
#include <source_location>
#include <stdexcept>
#include <string>
#include <vector>

namespace plasticity::ceilings {

constexpr int threads = 256;  // per block, of every kernel

inline void check(cudaError_t error, std::source_location where = std::source_location::current()) {
  if (error == cudaSuccess) return;
  throw std::runtime_error(std::string(where.file_name()) + ":" + std::to_string(where.line()) + ": " +
                           cudaGetErrorName(error) + ": " + cudaGetErrorString(error));
}

inline int attribute(cudaDeviceAttr which) {
  int value = 0;
  check(cudaDeviceGetAttribute(&value, which, 0));
  return value;
}

struct Stream {
  Stream() { check(cudaStreamCreateWithFlags(&handle, cudaStreamNonBlocking)); }
  ~Stream() { cudaStreamDestroy(handle); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  cudaStream_t handle{};
};

struct Event {
  Event() { check(cudaEventCreate(&handle)); }
  ~Event() { cudaEventDestroy(handle); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  cudaEvent_t handle{};
};

struct Buffer {
  explicit Buffer(std::size_t size) : bytes(size) {
    check(cudaMalloc(&data, bytes));
    check(cudaMemset(data, 1, bytes));
    check(cudaDeviceSynchronize());
  }
  ~Buffer() { cudaFree(data); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  std::size_t bytes;
  void* data = nullptr;
};

/// Microseconds that `work` keeps the stream busy: the median of seven, after one that is not counted.
template <class Work>
double microseconds(const Stream& stream, Work work) {
  const Event start, end;
  std::vector<float> times;
  for (int k = 0; k < 8; ++k) {
    check(cudaEventRecord(start.handle, stream.handle));
    work();
    check(cudaEventRecord(end.handle, stream.handle));
    check(cudaEventSynchronize(end.handle));
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, start.handle, end.handle));
    if (k > 0) times.push_back(milliseconds);
  }
  std::sort(times.begin(), times.end());
  return 1e3 * static_cast<double>(times[times.size() / 2]);
}

/// The time per node, in microseconds, of a graph of many launches that follow one another.
template <class Launch>
double node_microseconds(const Stream& stream, Launch launch) {
  constexpr int nodes = 1000, replays = 4;
  cudaGraph_t graph{};
  cudaGraphExec_t executable{};
  check(cudaStreamBeginCapture(stream.handle, cudaStreamCaptureModeThreadLocal));
  for (int k = 0; k < nodes; ++k) launch();
  check(cudaStreamEndCapture(stream.handle, &graph));
  check(cudaGraphInstantiate(&executable, graph, 0));
  const double us = microseconds(stream, [&] {
    for (int k = 0; k < replays; ++k) check(cudaGraphLaunch(executable, stream.handle));
  });
  check(cudaGraphExecDestroy(executable));
  check(cudaGraphDestroy(graph));
  return us / (nodes * replays);
}

inline std::string number(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

/// Prints a member at once, as a JSON object on a line of its own, so that a run that is cut off keeps it.
inline void print_member(const std::string& key, const std::string& value) {
  std::printf("{\"%s\": %s}\n", key.c_str(), value.c_str());
  std::fflush(stdout);
}

inline std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    if (static_cast<unsigned char>(c) >= 0x20) result += c;
  }
  return result + "\"";
}

/// Prints null for the key, and the reason as "key_skipped".
inline void print_skipped(const std::string& key, const std::string& why) {
  std::fprintf(stderr, "device_ceilings: %s skipped: %s\n", key.c_str(), why.c_str());
  print_member(key, "null");
  print_member(key + "_skipped", quoted(why));
}

/// Microseconds of one more barrier: `run(n)` launches a kernel with n of them.
template <class Run>
double barrier_cost(const Stream& stream, Run run) {
  constexpr int few = 100, many = 2100;
  const double less = microseconds(stream, [&] { run(few); });
  const double more = microseconds(stream, [&] { run(many); });
  return (more - less) / (many - few);
}

/// `barrier_cost` of kernels that are launched with clusters of `size` blocks.
template <class... Parameters, class... Arguments>
double cluster_cost(const Stream& stream, unsigned size, unsigned blocks, void (*kernel)(int, Parameters...),
                    Arguments... arguments) {
  cudaLaunchAttribute cluster{};
  cluster.id = cudaLaunchAttributeClusterDimension;
  cluster.val.clusterDim.x = size;
  cluster.val.clusterDim.y = cluster.val.clusterDim.z = 1;
  cudaLaunchConfig_t launch{};
  launch.gridDim = dim3(blocks);
  launch.blockDim = dim3(threads);
  launch.stream = stream.handle;
  launch.attrs = &cluster;
  launch.numAttrs = 1;
  return barrier_cost(
      stream, [&](int barriers) { check(cudaLaunchKernelEx(&launch, kernel, barriers, arguments...)); });
}

/// Measures the cost of exchanging values between blocks, by each way that a resident kernel could use.
void measure_exchange(const Stream& stream, int sms);

}  // namespace plasticity::ceilings
