#include <chrono>
#include <cstring>
#include <memory>

#include "c/network.hpp"
#include "c/spec.hpp"
#include "plasticity/communicator.hpp"

using namespace plasticity;
using c::guarded, c::not_null;

namespace {

CommunicatorOptions options_with(double seconds) {
  if (!(seconds >= .001) || seconds > 1e6)
    bad_argument("time_limit", "seconds from 0.001 to 1000000", str_cat(seconds));
  return {.time_limit = std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000))};
}

/// Calls work(values) with the elements of a dense tensor in host memory, as floats or doubles.
template <class Work>
void with_elements(const plasticity_tensor* argument, const Work& work) {
  const plasticity_tensor& tensor = not_null(argument, "tensor");
  const plasticity_dtype dtype = tensor.dtype;
  const bool is_float = dtype.code == PLASTICITY_FLOAT && dtype.lanes == 1;
  if (is_float && dtype.bits == 32) return work(c::host_span<float>("tensor", tensor));
  if (is_float && dtype.bits == 64) return work(c::host_span<double>("tensor", tensor));
  bad_argument("tensor.dtype", "float32 or float64", c::to_string(dtype));
}

}  // namespace

plasticity_status plasticity_communicator_create_threads(int32_t size, double time_limit,
                                                         plasticity_communicator** communicators) {
  return guarded([&] {
    not_null(communicators, "communicators");
    auto all = thread_communicators(size, options_with(time_limit));
    std::vector<std::unique_ptr<plasticity_communicator>> handles;
    for (auto& each : all)
      handles.push_back(
          std::unique_ptr<plasticity_communicator>(new plasticity_communicator{std::move(each)}));
    for (std::size_t r = 0; r < handles.size(); ++r) communicators[r] = handles[r].release();
  });
}

plasticity_status plasticity_communicator_create_mpi(double time_limit,
                                                     plasticity_communicator** communicator) {
  return guarded([&] {
    plasticity_communicator*& out = not_null(communicator, "communicator");
    out = new plasticity_communicator{mpi_communicator(options_with(time_limit))};
  });
}

plasticity_status plasticity_communicator_create_environment(double time_limit,
                                                             plasticity_communicator** communicator) {
  return guarded([&] {
    plasticity_communicator*& out = not_null(communicator, "communicator");
    auto of_environment = environment_communicator(options_with(time_limit));
    out = of_environment == nullptr ? nullptr : new plasticity_communicator{std::move(of_environment)};
  });
}

plasticity_status plasticity_nccl_id(uint8_t* id) {
  return guarded([&] {
    const NcclId created = nccl_id();
    std::memcpy(&not_null(id, "id"), created.data(), created.size());
  });
}

plasticity_status plasticity_communicator_create_nccl(plasticity_device device, const uint8_t* id,
                                                      int32_t rank, int32_t size, double time_limit,
                                                      plasticity_communicator** communicator) {
  return guarded([&] {
    plasticity_communicator*& out = not_null(communicator, "communicator");
    NcclId bytes;
    std::memcpy(bytes.data(), &not_null(id, "id"), bytes.size());
    out = new plasticity_communicator{
        nccl_communicator(c::to_device(device, 1, "device"), bytes, rank, size, options_with(time_limit))};
  });
}

void plasticity_communicator_destroy(plasticity_communicator* communicator) { delete communicator; }

plasticity_status plasticity_communicator_rank(const plasticity_communicator* communicator, int32_t* rank,
                                               int32_t* size) {
  return guarded([&] {
    const Communicator& ranks = *not_null(communicator, "communicator").communicator;
    if (rank != nullptr) *rank = ranks.rank();
    if (size != nullptr) *size = ranks.size();
  });
}

plasticity_status plasticity_communicator_sum(plasticity_communicator* communicator,
                                              const plasticity_tensor* tensor) {
  return guarded([&] {
    Communicator& ranks = *not_null(communicator, "communicator").communicator;
    with_elements(tensor, [&](auto values) { ranks.sum(values); });
  });
}

plasticity_status plasticity_communicator_broadcast(plasticity_communicator* communicator,
                                                    const plasticity_tensor* tensor, int32_t root) {
  return guarded([&] {
    Communicator& ranks = *not_null(communicator, "communicator").communicator;
    with_elements(tensor, [&](auto values) { ranks.broadcast(values, root); });
  });
}

plasticity_status plasticity_communicator_barrier(plasticity_communicator* communicator) {
  return guarded([&] { not_null(communicator, "communicator").communicator->barrier(); });
}

plasticity_status plasticity_communicator_abort(plasticity_communicator* communicator, int32_t exit_code) {
  return guarded([&] { not_null(communicator, "communicator").communicator->abort(exit_code); });
}

plasticity_status plasticity_all_reduce(plasticity_communicator* communicator,
                                        const plasticity_parameter* parameters, size_t count,
                                        plasticity_combine combine) {
  return guarded([&] {
    Communicator& ranks = *not_null(communicator, "communicator").communicator;
    all_reduce(ranks, c::to_views(parameters, count), static_cast<Combine>(combine));
  });
}
