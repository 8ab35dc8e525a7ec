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
void with_elements(const plasticity_tensor* tensor, const Work& work) {
  const plasticity_tensor& of = not_null(tensor, "tensor");
  c::check_dense("tensor", of, c::max_file_axes);
  if (of.device.kind != PLASTICITY_CPU && of.device.kind != PLASTICITY_CUDA_HOST)
    bad_argument("tensor", "host memory", str_cat("device kind ", of.device.kind));
  std::size_t count = 1;
  for (std::int32_t axis = 0; axis < of.ndim; ++axis) count *= static_cast<std::size_t>(of.shape[axis]);
  if (count > 0 && of.data == nullptr) bad_argument("tensor", str_cat(count, " elements"), "null");
  void* const data = c::data_of(of);
  if (of.dtype.code == PLASTICITY_FLOAT && of.dtype.lanes == 1 && of.dtype.bits == 32)
    return work(std::span(static_cast<float*>(data), count));
  if (of.dtype.code == PLASTICITY_FLOAT && of.dtype.lanes == 1 && of.dtype.bits == 64)
    return work(std::span(static_cast<double*>(data), count));
  bad_argument("tensor", "float32 or float64", c::to_string(of.dtype));
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
        nccl_communicator(c::to_device(device, 1), bytes, rank, size, options_with(time_limit))};
  });
}

void plasticity_communicator_destroy(plasticity_communicator* communicator) { delete communicator; }

plasticity_status plasticity_communicator_rank(const plasticity_communicator* communicator, int32_t* rank,
                                               int32_t* size) {
  return guarded([&] {
    const Communicator& of = *not_null(communicator, "communicator").communicator;
    if (rank != nullptr) *rank = of.rank();
    if (size != nullptr) *size = of.size();
  });
}

plasticity_status plasticity_communicator_sum(plasticity_communicator* communicator,
                                              const plasticity_tensor* tensor) {
  return guarded([&] {
    Communicator& of = *not_null(communicator, "communicator").communicator;
    with_elements(tensor, [&](auto values) { of.sum(values); });
  });
}

plasticity_status plasticity_communicator_broadcast(plasticity_communicator* communicator,
                                                    const plasticity_tensor* tensor, int32_t root) {
  return guarded([&] {
    Communicator& of = *not_null(communicator, "communicator").communicator;
    with_elements(tensor, [&](auto values) { of.broadcast(values, root); });
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
    Communicator& of = *not_null(communicator, "communicator").communicator;
    all_reduce(of, c::to_views(parameters, count), static_cast<Combine>(combine));
  });
}
