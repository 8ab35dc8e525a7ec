// A library with NCCL's entry points, for ranks that are threads of one process. Memory of the executor's
// devices is host memory. Every call waits for the stream and for the other ranks, and copies. As in NCCL,
// the wait for a rank that never comes has no end but ncclCommAbort(). The call itself waits if the
// communicator is blocking; otherwise a thread waits, and the call returns ncclInProgress.
//
// The environment variable PLASTICITY_NCCL_FAILS makes calls fail: "version" is an old library, "init"
// reports the error of another rank during the initialization, "remote" later, "query" fails when asked for
// it, "send" fails to send, "kernel" leaves work on the stream, "finalize" never ends, and "abort" ends when
// the variable is unset.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <chrono>
#include <climits>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <tuple>
#include <vector>

namespace {

constexpr int success = 0, internal_error = 3, invalid_argument = 4, invalid_usage = 5, remote_error = 6,
              in_progress = 7;

struct UniqueId {
  char bytes[128];
};

/// ncclConfig_t, up to the first member of NCCL 2.17.
struct Config {
  std::size_t size;
  unsigned magic, version;
  int blocking, cluster_size;
};

/// The ranks with one id.
struct Group {
  int size = 0, joined = 0;
  std::map<std::tuple<int, int>, std::vector<std::vector<char>>> messages;  // by sender and receiver
};

std::mutex mutex;
std::condition_variable changed;
std::map<std::vector<char>, std::shared_ptr<Group>> groups;
int live = 0, misuses = 0;

bool fails(const char* call) {
  const char* const failing = std::getenv("PLASTICITY_NCCL_FAILS");
  return failing != nullptr && std::strcmp(failing, call) == 0;
}

std::size_t size_of(int type) { return type == 1 ? 1 : type == 7 ? 4 : type == 8 ? 8 : 0; }

}  // namespace

struct Comm {
  int rank;
  bool blocking;
  std::shared_ptr<Group> group;
  int state = success;  // of the last call
  bool aborted = false, finalized = false;
  std::thread thread{};
};

namespace {

using Work = std::function<int()>;

/// Does the work of a call, on a thread if the communicator is non-blocking.
int run(Comm* comm, const Work& work) {
  if (comm->blocking) return work();
  {
    const std::lock_guard lock(mutex);
    if (comm->state == in_progress) {  // the previous call has not settled
      ++misuses;
      return invalid_argument;
    }
    if (comm->state != success) return comm->state;
    comm->state = in_progress;
  }
  if (comm->thread.joinable()) comm->thread.join();
  comm->thread = std::thread([comm, work] {
    const int result = work();
    const std::lock_guard lock(mutex);
    comm->state = result;
  });
  return in_progress;
}

/// Waits without a limit.
template <class Condition>
int wait_for(Comm* comm, std::unique_lock<std::mutex>& lock, const Condition& condition) {
  changed.wait(lock, [&] { return comm->aborted || condition(); });
  return comm->aborted ? internal_error : success;
}

void post(Comm* comm, int peer, const void* from, std::size_t bytes) {
  const std::lock_guard lock(mutex);
  const auto* begin = static_cast<const char*>(from);
  comm->group->messages[{comm->rank, peer}].emplace_back(begin, begin + bytes);
  changed.notify_all();
}

int receive(Comm* comm, int peer, void* to, std::size_t bytes) {
  std::unique_lock lock(mutex);
  auto& list = comm->group->messages[{peer, comm->rank}];
  if (const int error = wait_for(comm, lock, [&] { return !list.empty(); }); error != success) return error;
  if (list.front().size() != bytes) return invalid_argument;
  std::memcpy(to, list.front().data(), bytes);
  list.erase(list.begin());
  return success;
}

/// A kernel that does not end: work on the stream, which the executor runs only if a thread waits for it.
void leave_work(void* to, cudaStream_t stream) {
  if (fails("kernel")) cudaMemsetAsync(to, 0, 1, stream);
}

// The open groups of a thread, and the sends and receives in them.
thread_local int depth = 0, group_error = success;
thread_local Comm* group_comm = nullptr;
thread_local std::vector<Work> group_work;

int add_to_group(Comm* comm, const Work& work) {
  if (depth == 0) return run(comm, work);
  group_comm = comm;
  group_work.push_back(work);
  return success;
}

/// Deletes a communicator after its last call.
void destroy(Comm* comm) {
  if (comm->thread.joinable()) comm->thread.join();
  const std::lock_guard lock(mutex);
  --comm->group->joined;
  --live;
  delete comm;
}

}  // namespace

#define PLASTICITY_EXPORT extern "C" __attribute__((visibility("default")))

/// Calls on a communicator whose last call had not settled, and ends without ncclCommFinalize().
PLASTICITY_EXPORT int stand_in_misuses() {
  const std::lock_guard lock(mutex);
  return misuses;
}

/// Communicators that exist.
PLASTICITY_EXPORT int stand_in_live() {
  const std::lock_guard lock(mutex);
  return live;
}

PLASTICITY_EXPORT int ncclGetVersion(int* version) {
  *version = fails("version") ? 21805 : 22809;
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

PLASTICITY_EXPORT int ncclCommInitRankConfig(Comm** comm, int ranks, UniqueId id, int rank,
                                             const void* given) {
  *comm = nullptr;
  Config config{sizeof(Config), 0xcafebeef, 22809, INT_MIN, INT_MIN};
  std::size_t size = 0;
  std::memcpy(&size, given, sizeof(size));
  std::memcpy(&config, given, std::min(size, sizeof(config)));
  if (config.version < 21700) config.cluster_size = INT_MIN;
  if (config.magic != 0xcafebeef || (config.cluster_size != INT_MIN && config.cluster_size < 0))
    return invalid_argument;
  std::shared_ptr<Group> group;
  {
    const std::lock_guard lock(mutex);
    std::shared_ptr<Group>& known = groups[std::vector<char>(id.bytes, id.bytes + sizeof(id.bytes))];
    if (known == nullptr) known = std::make_shared<Group>();
    group = known;
    group->size = ranks;
    ++group->joined;
    ++live;
    changed.notify_all();
  }
  Comm* const created = new Comm{rank, config.blocking != 0, group};
  *comm = created;
  return run(created, [created, ranks] {
    if (fails("init")) return remote_error;
    std::unique_lock lock(mutex);
    return wait_for(created, lock, [&] { return created->group->joined >= ranks; });
  });
}

PLASTICITY_EXPORT int ncclCommFinalize(Comm* comm) {
  return run(comm, [comm] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    std::unique_lock lock(mutex);
    if (const int error = wait_for(comm, lock, [] { return !fails("finalize"); }); error != success)
      return error;
    comm->finalized = true;
    return success;
  });
}

PLASTICITY_EXPORT int ncclCommDestroy(Comm* comm) {
  {
    const std::lock_guard lock(mutex);
    if (comm->state == in_progress || !comm->finalized) {
      ++misuses;
      return invalid_argument;
    }
  }
  destroy(comm);
  return success;
}

PLASTICITY_EXPORT int ncclCommAbort(Comm* comm) {
  while (fails("abort")) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  {
    const std::lock_guard lock(mutex);
    comm->aborted = true;
    changed.notify_all();
  }
  destroy(comm);
  return success;
}

PLASTICITY_EXPORT int ncclCommGetAsyncError(Comm* comm, int* error) {
  const std::lock_guard lock(mutex);
  *error = fails("remote") ? remote_error : comm->state;
  return fails("query") ? invalid_argument : success;
}

PLASTICITY_EXPORT const char* ncclGetErrorString(int error) {
  return error == remote_error ? "remote process exited or there was a network error" : "another error";
}

PLASTICITY_EXPORT int ncclSend(const void* from, std::size_t count, int type, int peer, Comm* comm,
                               cudaStream_t stream) {
  if (cudaStreamSynchronize(stream) != cudaSuccess || size_of(type) == 0 || fails("send"))
    return group_error = invalid_argument;
  return add_to_group(comm, [=] {
    post(comm, peer, from, count * size_of(type));
    return success;
  });
}

PLASTICITY_EXPORT int ncclRecv(void* to, std::size_t count, int type, int peer, Comm* comm, cudaStream_t) {
  return add_to_group(comm, [=] { return receive(comm, peer, to, count * size_of(type)); });
}

PLASTICITY_EXPORT int ncclGroupStart() {
  ++depth;
  return success;
}

PLASTICITY_EXPORT int ncclGroupEnd() {
  if (depth == 0) return invalid_usage;
  if (--depth > 0) return success;
  const std::vector<Work> works = std::move(group_work);
  const int error = group_error;
  group_work.clear();
  group_error = success;
  if (error != success || works.empty()) return error;
  return run(group_comm, [works] {
    int first = success;
    for (const Work& work : works) {
      if (const int result = work(); first == success) first = result;
    }
    return first;
  });
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
    } else if (const int error = receive(comm, r, part.data(), bytes); error != success) {
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
  return run(comm, [=] {
    std::vector<std::vector<char>> parts;
    if (const int error = gather(from, count * size_of(type), comm, parts); error != success) return error;
    if (type == 1) {
      add<std::uint8_t>(parts, count, to);
    } else {
      add<float>(parts, count, to);
    }
    leave_work(to, stream);
    return success;
  });
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
  return run(comm, [=] {
    std::vector<std::vector<char>> parts;
    if (const int error = gather(from, bytes, comm, parts); error != success) return error;
    for (std::size_t r = 0; r < size; ++r) std::memcpy(begin + r * bytes, parts[r].data(), bytes);
    return success;
  });
}

/// `from` is read on the root only.
PLASTICITY_EXPORT int ncclBroadcast(const void* from, void* to, std::size_t count, int type, int root,
                                    Comm* comm, cudaStream_t stream) {
  const std::size_t bytes = count * size_of(type);
  if (cudaStreamSynchronize(stream) != cudaSuccess || bytes == 0 || root < 0 || root >= comm->group->size)
    return invalid_argument;
  return run(comm, [=] {
    if (comm->rank != root) return receive(comm, root, to, bytes);
    for (int r = 0; r < comm->group->size; ++r) {
      if (r != root) post(comm, r, from, bytes);
    }
    std::memmove(to, from, bytes);
    return success;
  });
}
