// Resident execution: the device's limits, the choice of an execution, and one launch per sequence.
#include <algorithm>
#include <limits>

#include "cuda/memory.hpp"
#include "cuda/runtime.hpp"
#include "rules/factors.hpp"

namespace plasticity::cuda {
namespace {

/// Clusters of that many blocks that the current device can run at once, if a block fills a multiprocessor.
int clusters_at_once(int blocks) {
  constexpr NetworkTraits network{.N = 512,
                                  .P = 512,
                                  .rule = Rule::hard_clip,
                                  .has_retention = false,
                                  .feedforward = false,
                                  .lstm = false,
                                  .eligible = false,
                                  .softmax = false,
                                  .modulated = false,
                                  .reads_cell = false};
  GroupShape shape;  // 128 KiB of weights
  shape.kind = GroupKind::cluster;
  shape.blocks = blocks;
  shape.thread = ThreadShape::rows_16x4;
  shape.rows = 16;
  shape.share_bits = 5;
  return static_cast<int>(kernels_of({.cell = Cell::rnn, .rule = Rule::hard_clip, .neurons = 512})
                              .max_forward_groups(network, Eligibility::none, shape));
}

}  // namespace

DeviceLimits DeviceLimits::of_device(int index) {
  const auto attribute = [&](cudaDeviceAttr which) {
    int value = 0;
    check(cudaDeviceGetAttribute(&value, which, index), "cudaDeviceGetAttribute");
    return value;
  };
  constexpr int max_cluster_blocks = 16;  // more than 8 need an attribute, and the device may have no room
  DeviceLimits limits;
  limits.multiprocessors = attribute(cudaDevAttrMultiProcessorCount);
  limits.shared_bytes = attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin);
  limits.cluster_blocks = attribute(cudaDevAttrClusterLaunch) != 0 ? max_cluster_blocks : 0;
  limits.cooperative = attribute(cudaDevAttrCooperativeLaunch) != 0;
  limits.l2_bytes = attribute(cudaDevAttrL2CacheSize);
  std::size_t free_bytes = 0, total = 0;
  check(cudaMemGetInfo(&free_bytes, &total), "cudaMemGetInfo");
  limits.memory_bytes = static_cast<std::int64_t>(total);
  // kHz, and bits that move twice per clock.
  const double rate =
      attribute(cudaDevAttrMemoryClockRate) * 1e-3 * attribute(cudaDevAttrGlobalMemoryBusWidth) / 4;
  if (rate > 0) limits.memory_rate = rate;
  for (std::size_t k = 0; k < limits.clusters.size() && (2 << k) <= limits.cluster_blocks; ++k)
    limits.clusters[k] = clusters_at_once(2 << k);
  return limits;
}

ExecutionChoice CudaPlan::choose(DeviceLimits limits, const std::optional<ResidentShape>& shape) const {
  PlannerOptions options =
      planner_options(spec_, options_, limits, [&](std::int64_t interval) { return tape_bytes(interval); });
  options.shape = shape;
  while (true) {
    ExecutionChoice choice =
        choose_execution(spec_, {options_.batch, options_.steps, bf16()}, limits, options);
    if (!choice.resident()) return choice;
    const NetworkTraits network = network_traits(spec_);
    const std::int64_t room =
        std::min(kernels_.max_forward_groups(network, spec_.eligibility, choice.shape()),
                 kernels_.max_backward_groups(network, spec_.eligibility, bf16(), choice.shape()));
    if (room > 0) {
      choice.groups = std::min(choice.groups, room);  // the other elements are done in waves
      return choice;
    }
    // The device cannot hold a group (for example a part of a GPU): restrict the limits and choose again.
    switch (choice.execution()) {
      case Execution::cluster: limits.cluster_blocks = choice.shape().blocks / 2; break;
      case Execution::grid: limits.cooperative = false; break;
      default:
        limits.shared_bytes =
            std::max(choice.chosen().shape.forward_bytes, choice.chosen().shape.backward_bytes) - 1;
        break;
    }
  }
}

float CudaPlan::resident_clip() const {
  return form_of(spec_.rule) == Form::linear ? std::numeric_limits<float>::infinity()
                                             : static_cast<float>(spec_.clip);
}

void CudaPlan::resident_forward(const ForwardArgs<float>& args, const ForwardMemory& memory,
                                const float* current, bool on_tape, cudaStream_t stream) const {
  StepParams params = step_params(options_.steps, args.parameters, args.inputs, args.masks);
  params.clip = resident_clip();
  const ResidentForward run{.params = params,
                            .network = network_traits(spec_),
                            .shape = choice_.shape(),
                            .groups = choice_.groups,
                            .on_tape = on_tape,
                            .record = memory.record,
                            .current = current,
                            .initial_y = args.initial_state.y,
                            .initial_c = args.initial_state.c,
                            .initial_hebb = args.initial_state.hebb,
                            .initial_eligibility = args.initial_state.eligibility,
                            .y = args.y,
                            .a = args.a,
                            .modulation = args.modulation,
                            .final_y = args.final_state.y,
                            .final_c = args.final_state.c,
                            .final_hebb = args.final_state.hebb,
                            .final_eligibility = args.final_state.eligibility,
                            .exchange = memory.exchange,
                            .layout = {}};
  kernels_.launch_resident_forward(run, stream);
}

void CudaPlan::resident_backward(const BackwardStep& step, const BackwardMemory& memory,
                                 cudaStream_t stream) const {
  BackwardStep with_clip = step;
  with_clip.params.clip = resident_clip();
  const ResidentBackward run{.step = with_clip,
                             .network = network_traits(spec_),
                             .shape = choice_.shape(),
                             .groups = choice_.groups,
                             .segment = memory.segment,
                             .partial_alpha = memory.partial,
                             .exchange = memory.exchange,
                             .layout = {}};
  kernels_.launch_resident_backward(run, stream);
}

}  // namespace plasticity::cuda
