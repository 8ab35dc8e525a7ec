#include <charconv>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/throw_error.hpp"
#include "communicator/mpi_api.hpp"
#include "communicator/time_limit.hpp"
#include "device/cuda_api.hpp"

// Communicators that other libraries implement, and those that the environment asks for.
namespace plasticity {
namespace {

const MpiApi* registered = nullptr;

/// Returns the number of processes that a launcher has started, by the variables that it sets, or 1.
long launched_processes() {
  // MPICH, Intel MPI and SLURM with PMI; Open MPI; MVAPICH.
  for (const char* name : {"PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE"}) {
    if (const char* value = std::getenv(name); value != nullptr) return std::strtol(value, nullptr, 10);
  }
  return 1;
}

std::chrono::milliseconds limit_of_environment(std::chrono::milliseconds otherwise) {
  const char* value = std::getenv("PLASTICITY_TIME_LIMIT");
  if (value == nullptr || *value == '\0') return otherwise;
  double seconds = 0;
  const char* end = value + std::strlen(value);
  const auto [stop, error] = std::from_chars(value, end, seconds);
  if (error != std::errc() || stop != end || !(seconds >= .001) || seconds > 1e6)
    bad_argument("PLASTICITY_TIME_LIMIT", "seconds from 0.001 to 1000000", str_cat('\'', value, '\''));
  return std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000));
}

const CudaApi& nccl_api() {
  const CudaApi* api = cuda_api();
  if (api == nullptr) {
    throw Error(ErrorCode::unsupported,
                "NCCL: this build has no CUDA library, or the program does not link plasticity::cuda");
  }
  return *api;
}

}  // namespace

const MpiApi* mpi_api() { return registered; }
void register_mpi_api(const MpiApi& api) { registered = &api; }

std::string mpi_unavailable_reason() {
  return mpi_api() != nullptr ? "" : "this build has no MPI, or the program does not link plasticity::mpi";
}

std::unique_ptr<Communicator> mpi_communicator(const CommunicatorOptions& options) {
  if (const std::string reason = mpi_unavailable_reason(); !reason.empty())
    throw Error(ErrorCode::unsupported, "MPI: " + reason);
  check_time_limit(options);
  return mpi_api()->make(options);
}

std::unique_ptr<Communicator> environment_communicator(CommunicatorOptions options) {
  const long processes = launched_processes();
  if (processes <= 1) return nullptr;
  options.time_limit = limit_of_environment(options.time_limit);
  if (const std::string reason = mpi_unavailable_reason(); !reason.empty()) {
    throw Error(ErrorCode::unsupported,
                str_cat("mpirun: it has started ", processes, " processes, but ", reason));
  }
  return mpi_communicator(options);
}

LocalRanks local_ranks() {
  const auto number = [](const char* name, int fallback, int min) {
    const char* value = std::getenv(name);
    const long parsed = value == nullptr ? fallback : std::strtol(value, nullptr, 10);
    return parsed < min || parsed > 1'000'000 ? fallback : static_cast<int>(parsed);
  };
  for (const auto& [rank, size] : {std::pair{"MPI_LOCALRANKID", "MPI_LOCALNRANKS"},
                                   {"OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"}}) {
    if (std::getenv(size) != nullptr) return {number(rank, 0, 0), number(size, 1, 1)};
  }
  return {};
}

NcclId nccl_id() { return nccl_api().nccl_id(); }

std::unique_ptr<Communicator> nccl_communicator(Device device, const NcclId& id, int rank, int size,
                                                const CommunicatorOptions& options) {
  const CudaApi& api = nccl_api();
  if (device.kind() != DeviceKind::cuda) bad_argument("device", "a GPU", device.name());
  check_time_limit(options);
  if (size < 1) bad_argument("size", "at least 1", str_cat(size));
  if (rank < 0 || rank >= size) bad_argument("rank", str_cat("0 to ", size - 1), str_cat(rank));
  return api.make_nccl(device.index(), id, rank, size, options);
}

std::unique_ptr<Communicator> nccl_communicator(Device device, Communicator& others) {
  NcclId id{};
  if (others.rank() == 0) id = nccl_id();
  others.broadcast(std::span(id));
  return nccl_communicator(device, id, others.rank(), others.size(), {.time_limit = others.time_limit()});
}

}  // namespace plasticity
