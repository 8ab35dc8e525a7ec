// A library with NCCL's entry points, for ranks that are threads of one process. Memory of the executor's
// devices is host memory. Every call waits for the stream and for the other ranks, and copies. The
// environment variable PLASTICITY_NCCL_FAILS makes calls fail: "remote" reports the error of another rank,
// "query" fails when asked for it, "send" fails to send.
#include <cuda_runtime_api.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <tuple>
#include <vector>

namespace {

constexpr int success = 0, invalid_argument = 4, remote_error = 6;

struct UniqueId {
  char bytes[128];
};

/// The ranks with one id.
struct Group {
  int size = 0, joined = 0;
  std::map<std::tuple<int, int>, std::vector<std::vector<char>>> messages;  // by sender and receiver
};

std::mutex mutex;
std::condition_variable changed;
std::map<std::vector<char>, std::shared_ptr<Group>> groups;

bool fails(const char* call) {
  const char* const failing = std::getenv("PLASTICITY_NCCL_FAILS");
  return failing != nullptr && std::strcmp(failing, call) == 0;
}

std::size_t size_of(int type) { return type == 1 ? 1 : type == 7 ? 4 : type == 8 ? 8 : 0; }

}  // namespace

struct Comm {
  int rank;
  std::shared_ptr<Group> group;
};

namespace {

struct Receive {
  void* to;
  std::size_t bytes;
  int peer;
  Comm* comm;
};
thread_local int depth = 0;
thread_local std::vector<Receive> receives;

void post(Comm* comm, int peer, const void* from, std::size_t bytes) {
  const std::lock_guard lock(mutex);
  const auto* begin = static_cast<const char*>(from);
  comm->group->messages[{comm->rank, peer}].emplace_back(begin, begin + bytes);
  changed.notify_all();
}

int complete(const Receive& receive) {
  std::unique_lock lock(mutex);
  auto& list = receive.comm->group->messages[{receive.peer, receive.comm->rank}];
  // A rank that has failed sends nothing.
  if (!changed.wait_for(lock, std::chrono::seconds(5), [&] { return !list.empty(); })) return remote_error;
  if (list.front().size() != receive.bytes) return invalid_argument;
  std::memcpy(receive.to, list.front().data(), receive.bytes);
  list.erase(list.begin());
  return success;
}

}  // namespace

#define PLASTICITY_EXPORT extern "C" __attribute__((visibility("default")))

PLASTICITY_EXPORT int ncclGetVersion(int* version) {
  *version = 22809;
  return success;
}

PLASTICITY_EXPORT int ncclGetUniqueId(UniqueId* id) {
  static int number = 0;
  const std::lock_guard lock(mutex);
  std::memset(id, 0, sizeof(*id));
  ++number;
  std::memcpy(id->bytes, &number, sizeof(number));
  return success;
}

PLASTICITY_EXPORT int ncclCommInitRank(Comm** comm, int ranks, UniqueId id, int rank) {
  std::unique_lock lock(mutex);
  std::shared_ptr<Group>& group = groups[std::vector<char>(id.bytes, id.bytes + sizeof(id.bytes))];
  if (group == nullptr) group = std::make_shared<Group>();
  const std::shared_ptr<Group> own = group;
  own->size = ranks;
  ++own->joined;
  changed.notify_all();
  // NCCL waits for ever. A thread that waits at the end of the program would block it.
  if (!changed.wait_for(lock, std::chrono::seconds(2), [&] { return own->joined >= ranks; }))
    return remote_error;
  *comm = new Comm{rank, own};
  return success;
}

PLASTICITY_EXPORT int ncclCommDestroy(Comm* comm) {
  delete comm;
  return success;
}
PLASTICITY_EXPORT int ncclCommAbort(Comm* comm) {
  delete comm;
  return success;
}
PLASTICITY_EXPORT int ncclCommGetAsyncError(Comm*, int* error) {
  *error = fails("remote") ? remote_error : success;
  return fails("query") ? invalid_argument : success;
}
PLASTICITY_EXPORT const char* ncclGetErrorString(int error) {
  return error == remote_error ? "remote process exited or there was a network error" : "another error";
}

PLASTICITY_EXPORT int ncclSend(const void* from, std::size_t count, int type, int peer, Comm* comm,
                               cudaStream_t stream) {
  if (cudaStreamSynchronize(stream) != cudaSuccess || size_of(type) == 0 || fails("send"))
    return invalid_argument;
  post(comm, peer, from, count * size_of(type));
  return success;
}

PLASTICITY_EXPORT int ncclRecv(void* to, std::size_t count, int type, int peer, Comm* comm, cudaStream_t) {
  receives.push_back({to, count * size_of(type), peer, comm});
  if (depth > 0) return success;
  const int error = complete(receives.back());
  receives.clear();
  return error;
}

PLASTICITY_EXPORT int ncclGroupStart() {
  ++depth;
  return success;
}

PLASTICITY_EXPORT int ncclGroupEnd() {
  int error = success;
  if (--depth > 0) return error;
  for (const Receive& receive : receives) {
    if (const int of_this = complete(receive); of_this != success) error = of_this;
  }
  receives.clear();
  return error;
}

namespace {

/// Sends count elements of `from` to all other ranks, and returns those of all ranks in `parts`.
int gather(const void* from, std::size_t bytes, Comm* comm, std::vector<std::vector<char>>& parts) {
  const int size = comm->group->size;
  for (int r = 0; r < size; ++r) {
    if (r != comm->rank) post(comm, r, from, bytes);
  }
  parts.assign(static_cast<std::size_t>(size), std::vector<char>(bytes));
  for (int r = 0; r < size; ++r) {
    std::vector<char>& part = parts[static_cast<std::size_t>(r)];
    if (r == comm->rank) {
      std::memcpy(part.data(), from, bytes);
    } else if (const int error = complete({part.data(), bytes, r, comm}); error != success) {
      return error;
    }
  }
  return success;
}

/// Adds in the order of the ranks, from the last to the first: an order of its own, which callers must not
/// rely on.
template <class Number>
void add(const std::vector<std::vector<char>>& parts, std::size_t count, void* to) {
  auto* const sum = static_cast<Number*>(to);
  for (std::size_t k = 0; k < count; ++k) {
    sum[k] = 0;
    for (std::size_t r = parts.size(); r-- > 0;) {
      Number value;
      std::memcpy(&value, parts[r].data() + k * sizeof(Number), sizeof(Number));
      sum[k] = static_cast<Number>(sum[k] + value);
    }
  }
}

}  // namespace

PLASTICITY_EXPORT int ncclAllReduce(const void* from, void* to, std::size_t count, int type, int operation,
                                    Comm* comm, cudaStream_t stream) {
  if (cudaStreamSynchronize(stream) != cudaSuccess || (type != 1 && type != 7) || operation != 0)
    return invalid_argument;
  std::vector<std::vector<char>> parts;
  if (const int error = gather(from, count * size_of(type), comm, parts); error != success) return error;
  if (type == 1) {
    add<std::uint8_t>(parts, count, to);
  } else {
    add<float>(parts, count, to);
  }
  return success;
}

/// `from` may be the caller's part of `to`, but may not overlap it otherwise.
PLASTICITY_EXPORT int ncclAllGather(const void* from, void* to, std::size_t count, int type, Comm* comm,
                                    cudaStream_t stream) {
  const std::size_t bytes = count * size_of(type);
  auto* const begin = static_cast<char*>(to);
  const auto* const own = static_cast<const char*>(from);
  const auto size = static_cast<std::size_t>(comm->group->size), rank = static_cast<std::size_t>(comm->rank);
  if (cudaStreamSynchronize(stream) != cudaSuccess || bytes == 0) return invalid_argument;
  if (own != begin + rank * bytes && own < begin + size * bytes && begin < own + bytes)
    return invalid_argument;
  std::vector<std::vector<char>> parts;
  if (const int error = gather(from, bytes, comm, parts); error != success) return error;
  for (std::size_t r = 0; r < size; ++r) std::memcpy(begin + r * bytes, parts[r].data(), bytes);
  return success;
}

/// `from` is read on the root only.
PLASTICITY_EXPORT int ncclBroadcast(const void* from, void* to, std::size_t count, int type, int root,
                                    Comm* comm, cudaStream_t stream) {
  const std::size_t bytes = count * size_of(type);
  if (cudaStreamSynchronize(stream) != cudaSuccess || bytes == 0 || root < 0 || root >= comm->group->size)
    return invalid_argument;
  if (comm->rank != root) return complete({to, bytes, root, comm});
  for (int r = 0; r < comm->group->size; ++r)
    if (r != root) post(comm, r, from, bytes);
  std::memmove(to, from, bytes);
  return success;
}
