// The communicator of NCCL. libnccl.so.2 is loaded when it is first used, so that programs without it start.
// NCCL's communicator is non-blocking: NCCL connects to other ranks on threads of its own, so every wait for
// them is in this file and has a time limit.
#include "cuda/nccl.hpp"

#include <cuda_runtime_api.h>
#include <dlfcn.h>

#include <cstdlib>
#include <cstring>
#include <future>
#include <thread>

#include "base/throw_error.hpp"
#include "communicator/time_limit.hpp"
#include "cuda/runtime.hpp"

namespace plasticity::cuda {
namespace {

using Clock = std::chrono::steady_clock;

// The declarations of nccl.h that are used here. They are part of NCCL's stable interface.
struct UniqueId {
  char bytes[128];
};
/// ncclConfig_t of NCCL 2.14. Later versions read no more than `size` bytes, and use their defaults for the
/// members that are newer than `version`.
struct Config {
  std::size_t size = sizeof(Config);
  unsigned magic = 0xcafebeef;
  unsigned version = 21400;
  int blocking = 0;
};
struct Comm;
constexpr int success = 0, in_progress = 7, uint8 = 1, float32 = 7, operation_sum = 0;

// Up to this size of all blocks together they are gathered by a sum. NCCL's all-gather is a ring, whose time
// grows with the number of ranks; its sum of few bytes is a tree.
constexpr std::size_t small_gather = std::size_t{1} << 20;

// The longest time that an error waits for ncclCommAbort(), which ends the kernels that use the caller's
// memory.
constexpr std::chrono::milliseconds abort_limit{2'000};

/// The entry points of the loaded library.
struct Nccl {
  int (*get_version)(int* version);
  int (*get_unique_id)(UniqueId* id);
  int (*comm_init_rank_config)(Comm** comm, int ranks, UniqueId id, int rank, Config* config);
  int (*comm_finalize)(Comm* comm);
  int (*comm_destroy)(Comm* comm);
  int (*comm_abort)(Comm* comm);
  int (*comm_get_async_error)(Comm* comm, int* error);
  const char* (*get_error_string)(int error);
  int (*all_reduce)(const void* from, void* to, std::size_t count, int type, int operation, Comm* comm,
                    cudaStream_t stream);
  int (*all_gather)(const void* from, void* to, std::size_t count, int type, Comm* comm, cudaStream_t stream);
  int (*broadcast)(const void* from, void* to, std::size_t count, int type, int root, Comm* comm,
                   cudaStream_t stream);
  int (*send)(const void* from, std::size_t count, int type, int peer, Comm* comm, cudaStream_t stream);
  int (*receive)(void* to, std::size_t count, int type, int peer, Comm* comm, cudaStream_t stream);
  int (*group_start)();
  int (*group_end)();
};

Nccl load() {
  const char* const chosen = std::getenv("PLASTICITY_NCCL");
  const std::string name = chosen != nullptr && *chosen != '\0' ? chosen : "libnccl.so.2";
  void* const library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* const reason = dlerror();
    throw_error(ErrorCode::device_unavailable, "NCCL", str_cat(name, ", which the loader finds"),
                reason == nullptr ? "none" : reason);
  }
  const auto find = [&](auto& function, const char* symbol) {
    void* const address = dlsym(library, symbol);
    if (address == nullptr)
      throw_error(ErrorCode::device_unavailable, name, str_cat("the function ", symbol), "none");
    std::memcpy(&function, &address, sizeof(address));
  };
  Nccl nccl{};
  find(nccl.get_version, "ncclGetVersion");
  // Before 2.19 a non-blocking call may lose the work of the thread's next call: NCCL's thread still resets
  // the state of the calling thread after it has reported success.
  constexpr int oldest = 21900;
  int version = 0;
  if (nccl.get_version(&version) != success || version < oldest)
    throw_error(ErrorCode::device_unavailable, name, "NCCL 2.19 or later", str_cat("version code ", version));
  find(nccl.get_unique_id, "ncclGetUniqueId");
  find(nccl.comm_init_rank_config, "ncclCommInitRankConfig");
  find(nccl.comm_finalize, "ncclCommFinalize");
  find(nccl.comm_destroy, "ncclCommDestroy");
  find(nccl.comm_abort, "ncclCommAbort");
  find(nccl.comm_get_async_error, "ncclCommGetAsyncError");
  find(nccl.get_error_string, "ncclGetErrorString");
  find(nccl.all_reduce, "ncclAllReduce");
  find(nccl.all_gather, "ncclAllGather");
  find(nccl.broadcast, "ncclBroadcast");
  find(nccl.send, "ncclSend");
  find(nccl.receive, "ncclRecv");
  find(nccl.group_start, "ncclGroupStart");
  find(nccl.group_end, "ncclGroupEnd");
  return nccl;
}

const Nccl& nccl() {
  static const Nccl loaded = load();
  return loaded;
}

bool is_error(int result) { return result != success && result != in_progress; }

std::string describe(int error) { return str_cat(nccl().get_error_string(error), " (", error, ")"); }

void check_nccl(int error, const char* call) {
  if (error != success) throw Error(ErrorCode::communication, str_cat(call, ": ", describe(error)));
}

/// Polls until the last call on the communicator, which returned `result`, has settled. Returns its error or
/// success, or in_progress at the deadline.
int settle(Comm* comm, int result, Clock::time_point deadline) {
  while (!is_error(result)) {
    int state = success;
    result = nccl().comm_get_async_error(comm, &state);
    if (is_error(result)) break;
    if (state != in_progress || Clock::now() >= deadline) return state;
    std::this_thread::yield();
  }
  return result;
}

/// Ends a communicator: without an error after its work is complete, otherwise at once. ncclCommDestroy() and
/// ncclCommAbort() wait for the other ranks of this machine without a limit, so they run on a thread that is
/// left behind at the limit.
void end(int index, Comm* comm, bool failed, std::chrono::milliseconds limit) noexcept {
  std::promise<void> promise;
  const std::future<void> ended = promise.get_future();
  const Clock::time_point deadline = Clock::now() + limit;
  try {
    std::thread([index, comm, failed, deadline, promise = std::move(promise)]() mutable {
      cudaSetDevice(index);
      if (!failed && settle(comm, nccl().comm_finalize(comm), deadline) == success) {
        nccl().comm_destroy(comm);
      } else {
        nccl().comm_abort(comm);
      }
      promise.set_value();
    }).detach();
  } catch (const std::system_error&) {  // no thread: the communicator is lost
    return;
  }
  ended.wait_until(deadline);
}

struct AbortComm {
  int index;
  void operator()(Comm* comm) const { end(index, comm, true, abort_limit); }
};
using CommHandle = std::unique_ptr<Comm, AbortComm>;

class NcclCommunicator final : public Communicator {
 public:
  NcclCommunicator(int index, int rank, int size, const CommunicatorOptions& options, CommHandle comm)
      : Communicator(rank, size, options), index_(index), comm_(std::move(comm)) {
    const CurrentDevice current(index_);
    check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "a stream for NCCL");
  }

  ~NcclCommunicator() override {
    if (comm_ != nullptr) end(index_, comm_.release(), false, time_limit());
    const CurrentDevice current(index_, std::nothrow);
    bool ok = cudaStreamDestroy(stream_) == cudaSuccess;
    ok = cudaFree(memory_) == cudaSuccess && ok;
    if (!ok) cudaGetLastError();
  }

 protected:
  /// Moves the blocks through device memory: all sends, then all receives.
  void exchange(Call call, std::span<const std::span<const std::byte>> send,
                std::span<const std::span<std::byte>> receive) override {
    const CurrentDevice current(index_);
    // Blocks that lie in the same memory of the host are copied once.
    const auto same_as_before = [&](std::size_t r, std::size_t before) {
      return send[r].data() == send[before].data() && send[r].size() == send[before].size();
    };
    std::vector<std::size_t> sent(send.size()), received(send.size());
    std::size_t bytes = 0, last = send.size();
    for_others([&](std::size_t r) {
      const bool known = last < send.size() && same_as_before(r, last);
      sent[r] = known ? sent[last] : bytes;
      if (!known) bytes += rounded(send[r].size());
      last = r;
    });
    for_others([&](std::size_t r) {
      received[r] = bytes;
      bytes += rounded(receive[r].size());
    });
    make_room(bytes);
    last = send.size();
    for_others([&](std::size_t r) {
      const bool known = last < send.size() && same_as_before(r, last);
      if (!known && !send[r].empty())
        copy(memory_ + sent[r], send[r].data(), send[r].size(), cudaMemcpyHostToDevice);
      last = r;
    });
    int result = nccl().group_start();
    if (is_error(result)) fail_all(call, result);
    // The first error is kept. The group ends in any case, because NCCL counts a thread's open groups.
    const auto add = [&](int next) { result = is_error(result) ? result : next; };
    for_others([&](std::size_t r) {
      const int peer = static_cast<int>(r);
      if (!send[r].empty())
        add(nccl().send(memory_ + sent[r], send[r].size(), uint8, peer, comm_.get(), stream_));
      if (!receive[r].empty())
        add(nccl().receive(memory_ + received[r], receive[r].size(), uint8, peer, comm_.get(), stream_));
    });
    add(nccl().group_end());
    wait(call, result, stream_);
    for_others([&](std::size_t r) {
      if (!receive[r].empty())
        copy(receive[r].data(), memory_ + received[r], receive[r].size(), cudaMemcpyDeviceToHost);
    });
    check(cudaStreamSynchronize(stream_), "the blocks of NCCL");
  }

  /// Gathers blocks of the largest size with one call of NCCL. The choice of the call depends on the sizes
  /// only, which are the same on all ranks.
  void gather(Call call, std::span<const std::byte> own,
              std::span<const std::span<std::byte>> receive) override {
    std::size_t largest = 0, total = 0, root = 0;
    for (std::size_t r = 0; r < receive.size(); ++r) {
      total += receive[r].size();
      if (receive[r].size() > largest) root = r;
      largest = std::max(largest, receive[r].size());
    }
    if (total == 0) return;
    const std::size_t ranks = receive.size();
    const bool broadcast = total == largest, small = largest * ranks <= small_gather;
    // Slices of very different sizes are sent one by one.
    if (!broadcast && !small && largest * ranks > 2 * total) return Communicator::gather(call, own, receive);
    const CurrentDevice current(index_);
    make_room(broadcast ? largest : largest * ranks);
    std::byte* const mine = memory_ + (broadcast ? 0 : largest * static_cast<std::size_t>(rank()));
    if (small && !broadcast)
      check(cudaMemsetAsync(memory_, 0, largest * ranks, stream_), "the blocks of NCCL");
    if (!own.empty()) copy(mine, own.data(), own.size(), cudaMemcpyHostToDevice);
    int result = success;
    if (broadcast) {
      result =
          nccl().broadcast(memory_, memory_, largest, uint8, static_cast<int>(root), comm_.get(), stream_);
    } else if (small) {  // every byte has at most one addend that is not zero
      result =
          nccl().all_reduce(memory_, memory_, largest * ranks, uint8, operation_sum, comm_.get(), stream_);
    } else {
      result = nccl().all_gather(mine, memory_, largest, uint8, comm_.get(), stream_);
    }
    wait(call, result, stream_);
    fetch(receive, broadcast ? 0 : largest);
  }

  void sum_on_device(Device device, Stream stream, float* values, std::int64_t count) override {
    if (device.index() != index_)
      bad_argument("device", str_cat("CUDA device ", index_, ", that of the communicator"), device.name());
    const CurrentDevice current(index_);
    const int result = nccl().all_reduce(values, values, static_cast<std::size_t>(count), float32,
                                         operation_sum, comm_.get(), stream.handle);
    wait(Call::sum, result, stream.handle);
  }

 private:
  /// Copies the blocks to the host, `distance` bytes apart. Blocks that adjoin on both sides take one copy.
  void fetch(std::span<const std::span<std::byte>> receive, std::size_t distance) const {
    for (std::size_t r = 0; r < receive.size();) {
      const std::size_t first = r;
      std::size_t bytes = receive[r].size();
      while (++r < receive.size() && bytes == (r - first) * distance &&
             receive[r].data() == receive[first].data() + bytes)
        bytes += receive[r].size();
      if (bytes > 0) copy(receive[first].data(), memory_ + first * distance, bytes, cudaMemcpyDeviceToHost);
    }
    check(cudaStreamSynchronize(stream_), "the blocks of NCCL");
  }

  static std::size_t rounded(std::size_t bytes) { return (bytes + 255) / 256 * 256; }

  template <class Work>
  void for_others(const Work& work) const {
    for (int r = 0; r < size(); ++r) {
      if (r != rank()) work(static_cast<std::size_t>(r));
    }
  }

  void copy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) const {
    check(cudaMemcpyAsync(to, from, bytes, kind, stream_), "the blocks of NCCL");
  }

  void make_room(std::size_t bytes) {
    if (bytes <= bytes_) return;
    check(cudaFree(memory_), "memory of NCCL");
    memory_ = nullptr;
    bytes_ = 0;
    check(cudaMalloc(reinterpret_cast<void**>(&memory_), bytes), "memory of NCCL");
    bytes_ = bytes;
  }

  /// Waits until the call of NCCL that returned `result` is complete: until NCCL has connected the ranks and
  /// started its kernel, then until the stream is empty. One time limit for both.
  void wait(Call call, int result, cudaStream_t stream) {
    const Clock::time_point deadline = Clock::now() + time_limit();
    for (;;) {
      result = settle(comm_.get(), result, deadline);
      if (is_error(result)) fail_all(call, result);
      if (result == success) {
        const cudaError_t state = cudaStreamQuery(stream);
        if (state == cudaSuccess) return;
        if (state != cudaErrorNotReady) check(state, "the stream of NCCL");
      }
      if (Clock::now() >= deadline) {
        fail_all(str_cat("NCCL: expected ", name_of(call), " of all ", size(), " ranks within ",
                         to_string(time_limit()),
                         ", got nothing from at least one (it has ended, or hangs)"));
      }
      std::this_thread::yield();
    }
  }

  [[noreturn]] void fail_all(Call call, int error) {
    fail_all(str_cat("NCCL: ", name_of(call), ": ", describe(error)));
  }

  [[noreturn]] void fail_all(const std::string& message) {
    comm_.reset();
    cudaGetLastError();
    fail(message);
  }

  int index_;
  CommHandle comm_;  // null after an error
  cudaStream_t stream_ = nullptr;
  std::byte* memory_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace

NcclId make_nccl_id() {
  UniqueId id;
  check_nccl(nccl().get_unique_id(&id), "ncclGetUniqueId");
  NcclId bytes;
  static_assert(sizeof(bytes) == sizeof(id));
  std::memcpy(bytes.data(), &id, sizeof(id));
  return bytes;
}

std::unique_ptr<Communicator> make_nccl(int index, const NcclId& id, int rank, int size,
                                        const CommunicatorOptions& options) {
  UniqueId unique;
  std::memcpy(&unique, id.data(), sizeof(unique));
  const Clock::time_point deadline = Clock::now() + options.time_limit;
  const CurrentDevice current(index);  // NCCL uses it for the communicator
  Config config;
  Comm* created = nullptr;
  int result = nccl().comm_init_rank_config(&created, size, unique, rank, &config);
  CommHandle comm(created, {index});
  result = settle(created, result, deadline);
  if (result == in_progress) {
    throw_error(ErrorCode::communication, "NCCL",
                str_cat("all ", size, " ranks within ", to_string(options.time_limit)), "fewer");
  }
  check_nccl(result, "ncclCommInitRankConfig");
  return std::make_unique<NcclCommunicator>(index, rank, size, options, std::move(comm));
}

}  // namespace plasticity::cuda
