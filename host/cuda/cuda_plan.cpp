#include "cuda/cuda_plan.hpp"

#include <algorithm>

#include "base/throw_error.hpp"
#include "cuda/memory.hpp"
#include "cuda/runtime.hpp"
#include "plan/checkpoints.hpp"
#include "step/tuning.hpp"

namespace plasticity::cuda {
namespace {

constexpr std::int64_t ring_slots = 3;

bool aligned(const void* pointer) { return reinterpret_cast<std::uintptr_t>(pointer) % 16 == 0; }

}  // namespace

CudaPlan::CudaPlan(const Spec& spec, const PlanOptions& options) : spec_(spec), options_(options) {
  if (options.precision == Precision::f64) {
    throw_error(ErrorCode::unsupported, "options.precision", "f32 or bf16 on a CUDA device", "f64");
  }
  check_grids();
  const CurrentDevice current(options.device.index());
  choice_ = choose();
  interval_ = choose_interval();
  Arena counter(nullptr);
  tape(counter, interval_);
  tape_bytes_ = counter.bytes();
  blas_ = &BlasHandle::of(options.device.index());
  if (choice_.execution == Execution::graph) graphs_ = std::make_shared<Graphs>();
  Arena with_tape(nullptr), without(nullptr), backward(nullptr), step_state(nullptr);
  ForwardMemory(*this, with_tape, Tape{{nullptr, 1}});
  ForwardMemory(*this, without, Tape{});
  BackwardMemory(*this, backward);
  StepStateMemory(*this, step_state);
  scratch_bytes_ = std::max({with_tape.bytes(), without.bytes(), backward.bytes()});
  step_state_bytes_ = step_state.bytes();
}

std::int64_t CudaPlan::tiles() const { return (spec_.neurons + tile_columns - 1) / tile_columns; }

void CudaPlan::check_grids() const {
  constexpr std::int64_t most = 0x7fffffff;
  const std::int64_t N = spec_.neurons, P = spec_.presynaptic(), I = spec_.inputs, B = options_.batch;
  const std::int64_t rows = std::max<std::int64_t>(options_.steps, 1) * B;
  const auto refuse = [&](const char* what, std::int64_t blocks) {
    if (blocks <= most) return;
    throw_error(ErrorCode::unsupported, what,
                str_cat("a launch of at most ", most, " blocks on a CUDA device"), str_cat(blocks));
  };
  refuse("options.batch", B * tiles());
  refuse("options.steps", product_blocks(rows, std::max(width(), I)));
  refuse("options.batch", segment_blocks(B, N, P));
  refuse("spec.neurons", replay_blocks(replay_groups(B, N, P), N, P));
}

std::int64_t CudaPlan::choose_interval() const {
  return choose_checkpoint_interval(spec_.rule, options_, [&](std::int64_t interval) {
    Arena counter(nullptr);
    tape(counter, interval);
    return counter.bytes();
  });
}

Record CudaPlan::vectors(Arena& arena, std::int64_t slots, bool on_tape) const {
  const std::int64_t B = options_.batch, N = spec_.neurons;
  const bool lstm = spec_.cell == Cell::lstm, softmax = spec_.activation == Activation::softmax;
  const auto take = [&](bool there, std::int64_t width) {
    return Rows<float>{arena.take<float>(there ? slots * B * width : 0), B * width};
  };
  Record record{};
  record.ring = !on_tape;
  record.shown = take(true, N);
  record.post = lstm ? take(true, N) : record.shown;
  record.activated = take(on_tape && softmax, N);
  record.raw = take(softmax, N);
  record.c = take(lstm, N);
  record.gates = take(on_tape && lstm, 3 * N);
  record.modulation = take(on_tape && spec_.has_modulator(), 1);
  return record;
}

Record CudaPlan::ring(Arena& arena) const {
  Record record = vectors(arena, ring_slots, false);
  record.hebb = {arena.take<float>(trace_size()), 0};
  record.eligibility = {arena.take<float>(spec_.has_eligibility() ? trace_size() : 0), 0};
  return record;
}

Record CudaPlan::tape(Arena& arena, std::int64_t interval) const {
  const std::int64_t T = options_.steps, trace = trace_size();
  Record record = vectors(arena, T + 1, true);
  record.interval = interval;
  // A bfloat16 tape of every step has the trace after the last one too.
  const std::int64_t checkpoints =
      bf16() && interval == 1 ? T + 1 : std::max<std::int64_t>((T + interval - 1) / interval, 1);
  const std::int64_t kept = checkpoints * trace, eligible = spec_.has_eligibility() ? kept : 0;
  if (bf16()) {
    record.hebb16 = arena.take<std::uint16_t>(kept);
    record.eligibility16 = arena.take<std::uint16_t>(eligible);
  } else {
    record.hebb = {arena.take<float>(kept), trace};
    record.eligibility = {arena.take<float>(eligible), trace};
  }
  return record;
}

void CudaPlan::add_between(Record& tape, Arena& work) const {
  if (!bf16() && interval_ == 1) return;
  float* hebb = work.take<float>(trace_size());
  float* eligibility = work.take<float>(spec_.has_eligibility() ? trace_size() : 0);
  if (bf16()) {
    tape.hebb = {hebb, 0};
    tape.eligibility = {eligibility, 0};
  } else {
    tape.between = hebb;
    tape.eligibility_between = eligibility;
  }
}

Problem CudaPlan::problem(std::int64_t steps, const Parameters<const float>& parameters,
                          const Inputs<const float>& inputs, const Masks<float>& masks) const {
  const std::int64_t N = spec_.neurons;
  return {.T = steps,
          .B = options_.batch,
          .N = N,
          .P = spec_.presynaptic(),
          .tiles = static_cast<int>(tiles()),
          .cell = spec_.cell,
          .lstm = spec_.cell == Cell::lstm,
          .rate = spec_.rate,
          .eligibility = spec_.eligibility,
          .activation = spec_.activation,
          .modulator_source = spec_.modulator_source,
          .clip = static_cast<float>(spec_.clip),
          .w = parameters.w,
          .w_gates = parameters.w_gates,
          .alpha = parameters.alpha,
          .alpha_row = spec_.alpha == Granularity::connection ? N : 0,
          .alpha_column = spec_.alpha == Granularity::scalar ? 0 : 1,
          .eta = parameters.eta,
          .modulator_weight = parameters.modulator_weight,
          .modulator_bias = parameters.modulator_bias,
          .fan_out_weight = parameters.fan_out_weight,
          .fan_out_bias = parameters.fan_out_bias,
          .pre = inputs.pre,
          .external_rate = inputs.rate,
          .reset = masks.reset,
          .length = masks.length,
          .clamp = masks.clamp,
          .clamp_value = masks.clamp_value};
}

Load CudaPlan::loading(const State<const float>& state, const Record& record) const {
  return {.B = options_.batch,
          .N = spec_.neurons,
          .P = spec_.presynaptic(),
          .tiles = static_cast<int>(tiles()),
          .y = state.y,
          .c = state.c,
          .hebb = state.hebb,
          .eligibility = state.eligibility,
          .shown = spec_.is_recurrent() ? record.shown.base : nullptr,
          .cell = record.c.base,
          .trace = record.hebb.base,
          .eligible = record.eligibility.base,
          .phase = nullptr};
}

bool CudaPlan::wide(std::int64_t columns, const Parameters<const float>& parameters,
                    std::initializer_list<const void*> others) const {
  return spec_.neurons % columns == 0 && aligned(parameters.w) && aligned(parameters.w_gates) &&
         (spec_.alpha != Granularity::connection || aligned(parameters.alpha)) &&
         std::all_of(others.begin(), others.end(), aligned);
}

const float* CudaPlan::input_currents(const Parameters<const float>& parameters,
                                      const Inputs<const float>& inputs, std::int64_t steps, float* currents,
                                      cudaStream_t stream) const {
  if (!projected()) return inputs.u;
  launch_product({.M = steps * options_.batch,
                  .N = width(),
                  .K = spec_.inputs,
                  .a = {inputs.x, spec_.inputs, 1},
                  .b = {parameters.w_in, width(), 1},
                  .bias = parameters.b,
                  .c = currents},
                 stream);
  return currents;
}

}  // namespace plasticity::cuda
