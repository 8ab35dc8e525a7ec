#pragma once

#include "plasticity/require_cxx20.hpp"  // first

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "plasticity/config.h"
#include "plasticity/device.hpp"
#include "plasticity/parameter_view.hpp"

namespace plasticity {

/// The options of a Communicator.
struct CommunicatorOptions {
  /// The longest time that a call waits for another rank, more than 0. It must exceed the longest work of a
  /// rank between two calls, for example the time in which rank 0 writes a checkpoint.
  std::chrono::milliseconds time_limit{60'000};
};

/// One member of a group of `size()` ranks, which are threads, processes or GPUs. Trainer adds the gradients
/// of the ranks with it.
///
/// Every call is collective: all ranks make the same calls in the same order, with the same sizes. A call
/// returns when this rank has its result. Each rank uses its own Communicator, from one thread at a time.
///
/// Order of sums: a fixed binary tree over the ranks. The sum of n ranks is the sum of the first ceil(n/2)
/// plus the sum of the others. All ranks get the same bits, in every run and with every implementation,
/// except that NCCL adds device memory in an order of its own (see nccl_communicator()).
///
/// Errors: a call throws Error(invalid_argument) for a bad argument. It throws Error(communication) that
/// names a rank if that rank has not made the call within the time limit, has ended, has failed, or has made
/// another call. After Error(communication) the communicator is unusable: every later call throws the same
/// error. The contents of the call's buffers are then unspecified.
class PLASTICITY_API Communicator {
 public:
  /// Destroying the communicator of one rank fails the calls in which other ranks wait for it.
  virtual ~Communicator();
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  int rank() const { return rank_; }                                    ///< this rank, 0 to size() - 1
  int size() const { return size_; }                                    ///< number of ranks, at least 1
  std::chrono::milliseconds time_limit() const { return time_limit_; }  ///< see CommunicatorOptions

  void sum(std::span<float> values);   ///< replaces `values` by their sum over the ranks, in host memory
  void sum(std::span<double> values);  ///< replaces `values` by their sum over the ranks, in host memory
  /// Replaces `count` values in memory of `device` by their sum over the ranks. Waits for the stream. For a
  /// GPU, communicators other than NCCL's copy through host memory.
  void sum(Device device, Stream stream, float* values, std::int64_t count);

  /// Copies the values of rank `root` to all ranks, in host memory. T has no pointers. Throws
  /// Error(invalid_argument) unless 0 <= root < size().
  template <class T, std::size_t extent>
  void broadcast(std::span<T, extent> values, int root = 0) {
    static_assert(std::is_trivially_copyable_v<T> && !std::is_const_v<T>);
    broadcast_bytes(std::as_writable_bytes(values), root);
  }

  /// Gathers slices in place, in host memory. Rank r contributes the elements first[r] .. first[r+1]-1
  /// of its `values`; afterwards all ranks have all elements. `first` has size() + 1 entries, begins with 0,
  /// does not decrease, and ends with the number of values; otherwise the call throws
  /// Error(invalid_argument). A slice may be empty.
  template <class T, std::size_t extent>
  void all_gather(std::span<T, extent> values, std::span<const std::int64_t> first) {
    static_assert(std::is_trivially_copyable_v<T> && !std::is_const_v<T>);
    all_gather_bytes(std::as_writable_bytes(values), first, sizeof(T));
  }

  void barrier();  ///< returns when all ranks have called it

  /// Ends all ranks at once: with MPI through MPI_Abort, otherwise this process with `exit_code`. For a
  /// program that cannot continue. Prints nothing.
  [[noreturn]] virtual void abort(int exit_code);

 protected:
  /// The kinds of calls. Ranks compare them to find a rank that makes another call.
  enum class Call : int { sum, sum_of_doubles, broadcast, all_gather, barrier };

  /// Throws Error(invalid_argument) for a bad rank, size or time limit.
  Communicator(int rank, int size, const CommunicatorOptions& options);

  /// Sends send[r] to every other rank r and fills receive[r] from it. Both have size() blocks; the
  /// own ones are not read. A block of no bytes is neither sent nor awaited. Throws Error(communication) that
  /// names a rank.
  virtual void exchange(Call call, std::span<const std::span<const std::byte>> send,
                        std::span<const std::span<std::byte>> receive) = 0;

  /// Sends `own` to every other rank and fills receive[r] from rank r, as exchange() does. `receive` has the
  /// same sizes on all ranks. receive[rank()] is as large as `own` and may be filled too; it may alias `own`.
  /// The default calls exchange().
  virtual void gather(Call call, std::span<const std::byte> own,
                      std::span<const std::span<std::byte>> receive);

  /// Adds values in memory of a GPU. The default copies them to the host, adds them there and copies them
  /// back.
  virtual void sum_on_device(Device device, Stream stream, float* values, std::int64_t count);

  static const char* name_of(Call call);  ///< "sum()"
  /// Marks the communicator as unusable and throws Error(communication) with `message`.
  [[noreturn]] void fail(const std::string& message);
  bool has_failed() const { return !failure_.empty(); }  ///< whether fail() was called
  /// Throws the error of an earlier fail().
  void check_usable() const;

 private:
  template <class Real>
  void sum_values(std::span<Real> values);
  void broadcast_bytes(std::span<std::byte> values, int root);
  void all_gather_bytes(std::span<std::byte> values, std::span<const std::int64_t> first,
                        std::size_t element_bytes);

  int rank_, size_;
  std::chrono::milliseconds time_limit_;
  std::string failure_{};
  std::vector<std::byte> received_{};
  std::vector<std::span<const std::byte>> send_{};
  std::vector<std::span<std::byte>> receive_{};
};

/// Returns the communicators of `size` threads of this process, by rank. Give each thread its own. Throws
/// Error(invalid_argument) unless size is in 1..1024 and the time limit is positive.
PLASTICITY_API std::vector<std::unique_ptr<Communicator>> thread_communicators(
    int size, const CommunicatorOptions& options = {});

/// Returns the communicator of all processes that mpirun started (MPI_COMM_WORLD). Initialises MPI if the
/// program has not, and then finalises it at exit. Only the thread that makes the first call may use it.
/// Throws Error(unsupported) if the program does not link plasticity::mpi.
PLASTICITY_API std::unique_ptr<Communicator> mpi_communicator(const CommunicatorOptions& options = {});

/// Returns why mpi_communicator() throws, or an empty string if it does not.
PLASTICITY_API std::string mpi_unavailable_reason();

/// Returns mpi_communicator() if mpirun (MPICH, Open MPI, or another that sets their variables) has started
/// this process with others, otherwise null. The environment variable PLASTICITY_TIME_LIMIT replaces the time
/// limit of the options, in seconds. Throws the errors of mpi_communicator(), and Error(invalid_argument) for
/// a bad value of the variable.
PLASTICITY_API std::unique_ptr<Communicator> environment_communicator(CommunicatorOptions options = {});

/// The processes of this machine among those that mpirun started.
struct LocalRanks {
  int rank = 0;  ///< this process, for example to choose a GPU
  int size = 1;  ///< number of processes, which share the processors
};

/// Returns the local ranks that the launcher states in the environment (MPICH, Open MPI), or {0, 1}.
PLASTICITY_API LocalRanks local_ranks();

/// Identifies a group of NCCL ranks (ncclUniqueId).
using NcclId = std::array<std::byte, 128>;

/// Returns a new id. One rank calls it and passes the bytes to the others: in a file, through MPI, or in any
/// other way. Throws Error(unsupported) without plasticity::cuda, and Error(device_unavailable) if
/// libnccl.so.2 cannot be loaded.
PLASTICITY_API NcclId nccl_id();

/// Returns the NCCL communicator of rank `rank` of `size`, which uses the GPU `device`. Waits for the other
/// ranks.
///
/// sum() of device memory is NCCL's own: the order is NCCL's choice, and for one number of ranks on one
/// machine the bits are equal from run to run. All other calls move bytes and add in the order of
/// Communicator. Messages of up to 1 MiB from all ranks together take one sum of NCCL, whose time grows with
/// the logarithm of the number of ranks.
///
/// NCCL does not report which rank is missing, nor that ranks make other calls: its errors name no rank, and
/// such a call ends at the time limit.
///
/// libnccl.so.2 is loaded at run time; the environment variable PLASTICITY_NCCL replaces the name of the
/// file. Throws the errors of nccl_id(), Error(invalid_argument) for a device that is no GPU, and
/// Error(communication).
PLASTICITY_API std::unique_ptr<Communicator> nccl_communicator(Device device, const NcclId& id, int rank,
                                                               int size,
                                                               const CommunicatorOptions& options = {});

/// Returns an NCCL communicator with the ranks of `others`, through which rank 0 sends the id.
PLASTICITY_API std::unique_ptr<Communicator> nccl_communicator(Device device, Communicator& others);

/// The result of all_reduce().
enum class Combine {
  sum,   ///< the sum over the ranks, for losses that each rank divides by the size of the global batch
  mean,  ///< the sum divided by the number of ranks, for losses that each rank divides by the size of its
         ///< batch
};

/// Replaces the gradients of the parameters by their combination over the ranks, in one message. All ranks
/// pass parameters of the same names and sizes, in the same order. For a training loop without Trainer: call
/// it after backward() and before clip_gradients() and the step of the optimizer.
///
/// On the CPU, R ranks with B / R samples each get the bits of one rank with B samples if R is a power of two
/// that divides B, each gradient comes from one call of backward() without an upstream gradient of M, and
/// `combine` is sum, or mean without overflow or underflow. Throws the errors of Communicator, and
/// Error(communication) if the ranks pass different names or sizes.
PLASTICITY_API void all_reduce(Communicator& communicator, std::span<const ParameterView> parameters,
                               Combine combine = Combine::sum);

/// Copies the values of the parameters from rank 0 to all ranks. Parameters and errors are those of
/// all_reduce().
PLASTICITY_API void broadcast(Communicator& communicator, std::span<const ParameterView> parameters);

/// The samples of one rank in a global batch: `count` successive samples from `first` on.
struct BatchSlice {
  std::int64_t first = 0;  ///< global index of the first sample
  std::int64_t count = 0;  ///< number of samples
};

/// Returns the slice of a rank in a batch of `batch` samples, all of one size. `communicator` may be null:
/// the slice is then the whole batch. Throws Error(invalid_argument) if the number of ranks does not divide
/// the batch.
PLASTICITY_API BatchSlice slice_of(const Communicator* communicator, std::int64_t batch);

}  // namespace plasticity
