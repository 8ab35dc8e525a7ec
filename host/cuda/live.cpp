#include "cuda/memory.hpp"
#include "cuda/pointers.hpp"
#include "rules/rules.hpp"
#include "step/tuning.hpp"

namespace plasticity::cuda {

CudaPlan::LiveMemory::LiveMemory(const CudaPlan& plan, Carver& carver) {
  const std::int64_t B = plan.options_.batch, N = plan.spec_.neurons, P = plan.spec_.presynaptic(), slots = 3;
  record = plan.ring(carver);
  live.phase = carver.take<int>(B * plan.tiles());
  live.x = {carver.take<float>(slots * B * P), B * P};
  live.rate = {carver.take<float>(slots * B * N), B * N};
  live.eta = {carver.take<float>(slots * B), B};
}

void CudaPlan::load(Stream stream, const State<const float>& state, Live live) const {
  const int device = options_.device.index();
  const CurrentDevice current(device);
  check_group(device, "state", state);
  check_device_pointer(device, "live", "data", live.data);
  if (options_.batch == 0) return;
  Carver carver(live.data);
  const LiveMemory memory(*this, carver);
  Load load = loading(state, memory.record);
  load.phase = memory.live.phase;
  launch_load(load, stream.handle);
}

void CudaPlan::step(Stream stream, const StepArgs<float>& args, Live live, Scratch scratch) const {
  const int device = options_.device.index();
  const CurrentDevice current(device);
  check_inputs(device, args);
  check_device_pointer(device, "", "y", args.y);
  check_device_pointer(device, "", "modulation", args.modulation);
  check_device_pointer(device, "live", "data", live.data);
  check_device_pointer(device, "scratch", "data", scratch.data);
  if (options_.batch == 0) return;

  Carver carver(live.data);
  const LiveMemory memory(*this, carver);
  const ForwardStep step{.problem = problem(1, args.parameters, args.inputs, args.masks),
                         .record = memory.record,
                         .live = memory.live,
                         .t = 0,
                         .current = input_currents(args.parameters, args.inputs, 1,
                                                   static_cast<float*>(scratch.data), stream.handle),
                         .y = args.y,
                         .modulation = args.modulation};
  with_rule(spec_.rule, AllRules{}, [&]<Rule rule> {
    launch_forward<rule>(step, wide(forward_columns, args.parameters), stream.handle);
  });
  if (spec_.has_modulator() || spec_.activation == Activation::softmax)
    launch_live_finish(step, stream.handle);
}

void CudaPlan::store(Stream stream, const State<float>& state, Live live) const {
  const int device = options_.device.index();
  const CurrentDevice current(device);
  check_group(device, "state", state);
  check_device_pointer(device, "live", "data", live.data);
  if (options_.batch == 0) return;
  Carver carver(live.data);
  const LiveMemory memory(*this, carver);
  const Flush flush{.problem = problem(1, {}, {}, {}),
                    .record = memory.record,
                    .live = memory.live,
                    .y = nullptr,
                    .modulation = nullptr,
                    .final_y = state.y,
                    .final_c = state.c,
                    .final_hebb = state.hebb,
                    .final_eligibility = state.eligibility};
  with_rule(spec_.rule, AllRules{}, [&]<Rule rule> { launch_flush<rule>(flush, stream.handle); });
}

}  // namespace plasticity::cuda
