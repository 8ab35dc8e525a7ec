#include <algorithm>

#include "cuda/memory.hpp"
#include "cuda/pointers.hpp"
#include "step/tuning.hpp"

namespace plasticity::cuda {

CudaPlan::ForwardMemory::ForwardMemory(const CudaPlan& plan, Arena& scratch, bool recording, void* tape) {
  const std::int64_t T = std::max<std::int64_t>(plan.options_.steps, 1);
  currents = scratch.take<float>(plan.projected() ? T * plan.options_.batch * plan.width() : 0);
  const ExecutionChoice& choice = plan.choice_;
  const bool resident = choice.resident(), exchanges = choice.execution() == Execution::grid;
  exchange = scratch.take<float>(
      exchanges ? choice.groups * forward_exchange(network_traits(plan.spec_), choice.shape()) : 0);
  record = {};
  if (recording) {
    Arena on_tape(tape);
    record = plan.tape(on_tape, plan.interval_);
    if (!resident) plan.add_working_traces(record, scratch);
  } else if (!resident) {
    record = plan.ring(scratch);
  }
}

CudaPlan::ForwardMemory::ForwardMemory(const CudaPlan& plan, Scratch scratch, Tape tape) {
  Arena arena(scratch.data);
  *this = ForwardMemory(plan, arena, tape.data != nullptr, tape.data);
}

std::size_t CudaPlan::ForwardMemory::bytes(const CudaPlan& plan, bool recording) {
  Arena counter(nullptr);
  const ForwardMemory counted(plan, counter, recording, nullptr);
  return counter.bytes();
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
  check_device_pointer(device, "", "a", args.a);
  check_device_pointer(device, "tape", "data", tape.data);
  check_device_pointer(device, "scratch", "data", scratch.data);
  if (options_.batch == 0) return;

  if (graphs_ == nullptr) return launch_forward(args, tape, scratch, stream.handle);
  const auto key = key_bytes(Graphs::Key<ForwardArgs<float>>{args, tape.data, scratch.data});
  SequenceGraph::Call call(graphs_->forward, key, stream.handle);
  if (call.needs_launches()) launch_forward(args, tape, scratch, call.stream());
  call.finish();
}

void CudaPlan::launch_forward(const ForwardArgs<float>& args, Tape tape, Scratch scratch,
                              cudaStream_t stream) const {
  const std::int64_t T = options_.steps;
  const ForwardMemory memory(*this, scratch, tape);
  if (!choice_.resident()) launch_load(load_params(args.initial_state, memory.record), stream);
  const float* current =
      T > 0 ? input_currents(args.parameters, args.inputs, T, memory.currents, stream) : nullptr;
  if (choice_.resident()) return resident_forward(args, memory, current, tape.data != nullptr, stream);

  ForwardStep step{.params = step_params(T, args.parameters, args.inputs, args.masks),
                   .record = memory.record,
                   .step_state = {},
                   .t = 0,
                   .elements = 1,
                   .current = current,
                   .y = args.y,
                   .a = args.a,
                   .modulation = args.modulation};
  const Flush flush{.params = step.params,
                    .record = memory.record,
                    .step_state = {},
                    .modulation = args.modulation,
                    .final_y = args.final_state.y,
                    .final_c = args.final_state.c,
                    .final_hebb = args.final_state.hebb,
                    .final_eligibility = args.final_state.eligibility};
  const bool wide_loads = wide(args.parameters);
  const bool rounds = memory.record.hebb16 != nullptr && interval_ == 1;  // such a pass has one element
  step.elements = elements_per_block(step.params, wide_loads && !rounds, multiprocessors_);
  for (step.t = 0; step.t < T; ++step.t) {
    if (current != nullptr) step.current = current + step.t * options_.batch * width();
    kernels_.launch_step(step, wide_loads, stream);
    if (spec_.activation == Activation::softmax) launch_finish_step(step, stream);
  }
  kernels_.launch_flush(flush, stream);
}

}  // namespace plasticity::cuda
