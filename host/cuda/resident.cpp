// The choice of an execution on the device, and resident executions: one launch per sequence.
#include <algorithm>
#include <limits>

#include "cuda/memory.hpp"
#include "cuda/runtime.hpp"
#include "rules/factors.hpp"

namespace plasticity::cuda {
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
