#include <algorithm>

#include "cuda/memory.hpp"
#include "cuda/pointers.hpp"
#include "rules/rules.hpp"
#include "step/tuning.hpp"

namespace plasticity::cuda {

CudaPlan::ForwardMemory::ForwardMemory(const CudaPlan& plan, Arena& work, Tape tape) {
  const std::int64_t T = std::max<std::int64_t>(plan.options_.steps, 1);
  currents = work.take<float>(plan.projected() ? T * plan.options_.batch * plan.width() : 0);
  Arena recorded(tape.data);
  const bool resident = plan.choice_.resident(), exchanges = plan.choice_.execution == Execution::grid;
  exchange =
      work.take<float>(exchanges ? plan.choice_.groups * forward_exchange(contents_of(plan.spec_)) : 0);
  record = {};
  if (tape.bytes > 0) {
    record = plan.tape(recorded, plan.interval_);
    if (!resident) plan.add_between(record, work);
  } else if (!resident) {
    record = plan.ring(work);
  }
}

void CudaPlan::enqueue_forward(Stream stream, const ForwardArgs<float>& args, Tape tape,
                               Scratch scratch) const {
  const int device = options_.device.index();
  const CurrentDevice current(device);
  check_inputs(device, args);
  check_group(device, "initial_state", args.initial_state);
  check_group(device, "final_state", args.final_state);
  check_device_pointer(device, "", "y", args.y);
  check_device_pointer(device, "", "modulation", args.modulation);
  check_device_pointer(device, "tape", "data", tape.data);
  check_device_pointer(device, "scratch", "data", scratch.data);
  if (options_.batch == 0) return;

  if (graphs_ == nullptr) return run_forward(args, tape, scratch, stream.handle);
  const Graphs::Key<ForwardArgs<float>> key{args, tape.data, scratch.data};
  graphs_->forward.run(key, stream.handle,
                       [&](cudaStream_t captured) { run_forward(args, tape, scratch, captured); });
}

void CudaPlan::run_forward(const ForwardArgs<float>& args, Tape tape, Scratch scratch,
                           cudaStream_t stream) const {
  const std::int64_t T = options_.steps;
  Arena work(scratch.data);
  const ForwardMemory memory(*this, work, tape.data == nullptr ? Tape{} : tape);
  const Record& kept = memory.record;
  if (!choice_.resident()) launch_load(loading(args.initial_state, kept), stream);
  const float* input =
      T > 0 ? input_currents(args.parameters, args.inputs, T, memory.currents, stream) : nullptr;
  if (choice_.resident()) return resident_forward(args, memory, input, tape.data != nullptr, stream);

  ForwardStep step{.problem = problem(T, args.parameters, args.inputs, args.masks),
                   .record = kept,
                   .live = {},
                   .t = 0,
                   .current = input,
                   .y = args.y,
                   .modulation = args.modulation};
  const Flush flush{.problem = step.problem,
                    .record = kept,
                    .live = {},
                    .y = args.y,
                    .modulation = args.modulation,
                    .final_y = args.final_state.y,
                    .final_c = args.final_state.c,
                    .final_hebb = args.final_state.hebb,
                    .final_eligibility = args.final_state.eligibility};
  const bool wide_loads = wide(forward_columns, args.parameters);
  with_rule(spec_.rule, AllRules{}, [&]<Rule rule> {
    for (step.t = 0; step.t < T; ++step.t) {
      if (input != nullptr) step.current = input + step.t * options_.batch * width();
      launch_forward<rule>(step, wide_loads, stream);
    }
    launch_flush<rule>(flush, stream);
  });
}

}  // namespace plasticity::cuda
