#include <algorithm>

#include "cuda/gradients.hpp"
#include "cuda/memory.hpp"
#include "cuda/pointers.hpp"

namespace plasticity::cuda {

CudaPlan::BackwardMemory::BackwardMemory(const CudaPlan& plan, Arena& arena) {
  const Spec& spec = plan.spec_;
  const std::int64_t T = plan.options_.steps, B = plan.options_.batch, N = spec.neurons,
                     P = spec.presynaptic(), I = spec.inputs, width = plan.width(), BN = B * N;
  const bool lstm = spec.cell == Cell::lstm;
  da = arena.take<float>(T * B * width);
  const std::int64_t stepped = plan.choice_.resident() ? 0 : 1;  // a resident execution keeps these on chip
  G = arena.take<float>(stepped * plan.trace_size());
  GE = arena.take<float>(spec.has_eligibility() ? stepped * BN * P : 0);
  const std::int64_t replayed = plan.replays() ? stepped * plan.interval_ * BN * P : 0;
  hebb = arena.take<float>(replayed);
  eligibility = arena.take<float>(spec.has_eligibility() ? replayed : 0);
  const NetworkTraits network = network_traits(spec);
  const ExecutionChoice& choice = plan.choice_;
  segment = arena.take<float>(
      choice.resident() ? resident_segment(network, choice.shape(), choice.groups, plan.interval_) : 0);
  const std::int64_t tile_rows = B * plan.tiles() * P;
  dx_read = {arena.take<float>(stepped * 2 * tile_rows), tile_rows};
  const std::size_t updates_begin = arena.bytes();
  dx_update = {arena.take<float>(stepped * 3 * tile_rows), tile_rows};
  dg = {arena.take<float>(stepped * 2 * BN), BN};
  dpost = {arena.take<float>(stepped * 2 * BN), BN};
  updates_bytes = arena.bytes() - updates_begin;
  dc = arena.take<float>(lstm ? stepped * BN : 0);
  exchange = arena.take<float>(plan.choice_.execution() == Execution::grid
                                   ? plan.choice_.groups * backward_exchange(network, choice.shape())
                                   : 0);

  const std::size_t begin = arena.bytes();
  alpha = sums = arena.take<float>(BN);
  eta = arena.take<float>(BN);
  v = arena.take<float>(BN);
  v0 = arena.take<float>(B);
  fan = arena.take<float>(BN);
  fan_bias = arena.take<float>(BN);
  sums_bytes = arena.bytes() - begin;

  const bool projected = plan.projected();
  masked_lhs = arena.take<float>(T * B * std::max(P, projected ? I : 0));
  groups = spec.alpha == Granularity::connection ? replay_groups(B, N, P) : 0;
  alpha_is_summed = choice.resident() && choice.shape().sums_alpha;
  if (alpha_is_summed) groups = B;
  partial = arena.take<float>(groups * P * N);

  const std::int64_t largest = std::max({P * N, lstm ? 2 * N * N : 0, projected ? I * width : 0});
  blas = BlasWorkspace::take(arena, largest);
}

std::size_t CudaPlan::BackwardMemory::bytes(const CudaPlan& plan) {
  Arena counter(nullptr);
  const BackwardMemory counted(plan, counter);
  return counter.bytes();
}

void CudaPlan::enqueue_backward(Stream stream, const BackwardArgs<float>& args, Tape tape,
                                Scratch scratch) const {
  const int device = options_.device.index();
  const CurrentDevice current(device);
  check_no_earlier_error();
  check_inputs(device, args);
  check_device_pointer(device, "", "dy", args.dy);
  check_device_pointer(device, "", "da", args.da);
  check_group(device, "dfinal_state", args.dfinal_state);
  check_group(device, "dparameters", args.dparameters);
  check_group(device, "dinputs", args.dinputs);
  check_group(device, "dinitial_state", args.dinitial_state);
  check_device_pointer(device, "tape", "data", tape.data);
  check_device_pointer(device, "scratch", "data", scratch.data);
  if (options_.batch == 0) return;

  if (graphs_ == nullptr) return launch_backward(args, tape, scratch, stream.handle);
  const auto key = key_bytes(Graphs::Key<BackwardArgs<float>>{args, tape.data, scratch.data});
  SequenceGraph::Call call(graphs_->backward, key, stream.handle);
  if (call.needs_launches()) launch_backward(args, tape, scratch, call.stream());
  call.finish();
}

void CudaPlan::launch_backward(const BackwardArgs<float>& args, Tape tape, Scratch scratch,
                               cudaStream_t stream) const {
  const std::int64_t T = options_.steps;
  Arena recorded(tape.data), work(scratch.data);
  const BackwardMemory memory(*this, work);
  const State<const float>& upstream = args.dfinal_state;
  const State<float>& initial = args.dinitial_state;
  BackwardStep step{.params = step_params(T, args.parameters, args.inputs, args.masks),
                    .record = CudaPlan::tape(recorded, interval_),
                    .t = T,
                    .elements = 1,
                    .dy = args.dy,
                    .dcurrent = args.da,
                    .dfinal_y = upstream.y,
                    .dfinal_c = upstream.c,
                    .dfinal_hebb = upstream.hebb,
                    .dfinal_eligibility = upstream.eligibility,
                    .dinitial_y = initial.y,
                    .dinitial_c = initial.c,
                    .dinitial_hebb = initial.hebb,
                    .dinitial_eligibility = initial.eligibility,
                    .dpre = args.dinputs.pre,
                    .drate = args.dinputs.rate,
                    .da = memory.da,
                    .G = memory.G,
                    .GE = memory.GE,
                    .dx_read = memory.dx_read,
                    .dx_update = memory.dx_update,
                    .dg = memory.dg,
                    .dpost = memory.dpost,
                    .dc = memory.dc,
                    .sum_alpha = memory.alpha,
                    .sum_eta = memory.eta,
                    .sum_v = memory.v,
                    .sum_v0 = memory.v0,
                    .sum_fan = memory.fan,
                    .sum_fan_bias = memory.fan_bias};
  check(cudaMemsetAsync(memory.sums, 0, memory.sums_bytes, stream), "cudaMemsetAsync");
  if (!spec_.is_plastic())  // no launch writes them
    check(cudaMemsetAsync(memory.dx_update.base, 0, memory.updates_bytes, stream), "cudaMemsetAsync");
  if (choice_.resident()) {
    resident_backward(step, memory, stream);
  } else {
    step_backward(step, args, memory, stream);
  }

  const ParameterGradients gradients{spec_, kernels_, args, step, memory, *blas_, stream};
  gradients.add_weights();
  gradients.add_alpha({.bf16 = bf16(), .wide = wide({})});
  gradients.add_vectors();
  gradients.write_inputs();
}

void CudaPlan::step_backward(BackwardStep step, const BackwardArgs<float>& args, const BackwardMemory& memory,
                             cudaStream_t stream) const {
  const State<const float>& upstream = args.dfinal_state;
  const State<float>& initial = args.dinitial_state;
  const Record tape = step.record;
  const bool rounded = bf16() && !replays();
  const Variant variant{.bf16 = rounded,
                        .wide = wide(args.parameters, {upstream.hebb, upstream.eligibility, initial.hebb,
                                                       initial.eligibility})};
  step.elements = elements_per_block(step.params, variant.wide && !rounded, multiprocessors_);
  std::int64_t loaded_segment = -1;  // the first step of the segment in memory.hebb
  for (step.t = options_.steps; step.t >= 0; --step.t) {
    const std::int64_t first = std::max<std::int64_t>(step.t - 1, 0) / interval_ * interval_;
    if (replays() && first != loaded_segment) {
      loaded_segment = first;
      kernels_.launch_segment({step.params, tape, first, memory.hebb, memory.eligibility}, wide({}), stream);
      step.record.first = first;
      step.record.hebb = {memory.hebb, trace_size()};
      step.record.eligibility = {memory.eligibility, trace_size()};
    }
    kernels_.launch_backward_step(step, variant, stream);
  }
  step.t = 0;
  if (initial.y != nullptr || initial.c != nullptr || step.dpre != nullptr)
    launch_finish_backward(step, stream);
}

}  // namespace plasticity::cuda
