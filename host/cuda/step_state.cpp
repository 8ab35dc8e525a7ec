#include "cuda/memory.hpp"
#include "cuda/pointers.hpp"
#include "step/tuning.hpp"

namespace plasticity::cuda {

CudaPlan::StepStateMemory::StepStateMemory(const CudaPlan& plan, Arena& arena) {
  const std::int64_t B = plan.options_.batch, N = plan.spec_.neurons, P = plan.spec_.presynaptic(), slots = 3;
  record = plan.ring(arena);
  step_state.phase = arena.take<int>(B * plan.tiles());
  step_state.x = {arena.take<float>(slots * B * P), B * P};
  step_state.rate = {arena.take<float>(slots * B * N), B * N};
  step_state.eta = {arena.take<float>(slots * B), B};
}

std::size_t CudaPlan::StepStateMemory::bytes(const CudaPlan& plan) {
  Arena counter(nullptr);
  const StepStateMemory counted(plan, counter);
  return counter.bytes();
}

void CudaPlan::enqueue_load(Stream stream, const State<const float>& state, StepState step_state) const {
  const int device = options_.device.index();
  const CurrentDevice current(device);
  check_group(device, "state", state);
  check_device_pointer(device, "step_state", "data", step_state.data);
  if (options_.batch == 0) return;
  Arena arena(step_state.data);
  const StepStateMemory memory(*this, arena);
  Load load = load_params(state, memory.record);
  load.phase = memory.step_state.phase;
  launch_load(load, stream.handle);
}

void CudaPlan::enqueue_step(Stream stream, const StepArgs<float>& args, StepState step_state,
                            Scratch scratch) const {
  const int device = options_.device.index();
  const CurrentDevice current(device);
  check_inputs(device, args);
  check_device_pointer(device, "", "y", args.y);
  check_device_pointer(device, "", "modulation", args.modulation);
  check_device_pointer(device, "", "a", args.a);
  check_device_pointer(device, "step_state", "data", step_state.data);
  check_device_pointer(device, "scratch", "data", scratch.data);
  if (options_.batch == 0) return;

  Arena arena(step_state.data);
  const StepStateMemory memory(*this, arena);
  const ForwardStep step{.params = step_params(1, args.parameters, args.inputs, args.masks),
                         .record = memory.record,
                         .step_state = memory.step_state,
                         .t = 0,
                         .elements = 1,
                         .current = input_currents(args.parameters, args.inputs, 1,
                                                   static_cast<float*>(scratch.data), stream.handle),
                         .y = args.y,
                         .a = args.a,
                         .modulation = args.modulation};
  kernels_.launch_step(step, wide(args.parameters), stream.handle);
  if (spec_.has_modulator() || spec_.activation == Activation::softmax)
    launch_finish_step(step, stream.handle);
}

void CudaPlan::enqueue_store(Stream stream, const State<float>& state, StepState step_state) const {
  const int device = options_.device.index();
  const CurrentDevice current(device);
  check_group(device, "state", state);
  check_device_pointer(device, "step_state", "data", step_state.data);
  if (options_.batch == 0) return;
  Arena arena(step_state.data);
  const StepStateMemory memory(*this, arena);
  const Flush flush{.params = step_params(1, {}, {}, {}),
                    .record = memory.record,
                    .step_state = memory.step_state,
                    .modulation = nullptr,
                    .final_y = state.y,
                    .final_c = state.c,
                    .final_hebb = state.hebb,
                    .final_eligibility = state.eligibility};
  kernels_.launch_flush(flush, stream.handle);
}

}  // namespace plasticity::cuda
