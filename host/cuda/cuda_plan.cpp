#include "cuda/cuda_plan.hpp"

#include <algorithm>
#include <limits>

#include "base/throw_error.hpp"
#include "cuda/memory.hpp"
#include "cuda/runtime.hpp"
#include "step/tuning.hpp"

namespace plasticity::cuda {
namespace {

constexpr std::int64_t ring_slots = 3;

/// Kernels have the sizes and the columns of whole blocks, at most 256 columns more, in 32 bits.
void check_kernel_size(const char* argument, std::int64_t size) {
  constexpr std::int64_t max_size = std::numeric_limits<int>::max() - 256;
  if (size <= max_size) return;
  throw_error(ErrorCode::unsupported, argument, str_cat("at most ", max_size, " on a CUDA device"),
              str_cat(size));
}

bool aligned(const void* pointer) { return reinterpret_cast<std::uintptr_t>(pointer) % 16 == 0; }

}  // namespace

CudaPlan::CudaPlan(const Spec& spec, const PlanOptions& options, const std::optional<ResidentShape>& shape)
    : spec_(spec), options_(options), kernels_(kernels_of(spec)) {
  if (options.precision == Precision::f64) {
    throw_error(ErrorCode::unsupported, "options.precision", "f32 or bf16 on a CUDA device", "f64");
  }
  check_grids();
  const CurrentDevice current(options.device.index());
  const DeviceLimits limits = DeviceLimits::of_device(options.device.index());
  multiprocessors_ = limits.multiprocessors;
  choice_ = choose(limits, shape);
  interval_ = choice_.interval();
  tape_bytes_ = tape_bytes(interval_);
  blas_ = &BlasHandle::of(options.device.index());
  if (choice_.execution() == Execution::graph) graphs_ = std::make_shared<Graphs>();
  scratch_bytes_ = std::max({ForwardMemory::bytes(*this, /*recording=*/true),
                             ForwardMemory::bytes(*this, /*recording=*/false), BackwardMemory::bytes(*this)});
  step_state_bytes_ = StepStateMemory::bytes(*this);
}

std::int64_t CudaPlan::tiles() const { return (spec_.neurons + tile_columns - 1) / tile_columns; }

void CudaPlan::check_grids() const {
  const std::int64_t N = spec_.neurons, P = spec_.presynaptic(), I = spec_.inputs, B = options_.batch;
  check_kernel_size("options.steps", options_.steps);
  check_kernel_size("options.batch", B);
  check_kernel_size("spec.neurons", N);
  check_kernel_size("spec.inputs", I);
  const std::int64_t rows = std::max<std::int64_t>(options_.steps, 1) * B;
  check_blocks("options.batch", B * tiles());
  check_blocks("options.steps", product_blocks(rows, std::max(width(), I)));
  check_blocks("options.batch", segment_blocks(B, N, P));
  check_blocks("spec.neurons", replay_blocks(replay_groups(B, N, P), N, P));
}

std::size_t CudaPlan::tape_bytes(std::int64_t interval) const {
  Arena counter(nullptr);
  tape(counter, interval);
  return counter.bytes();
}

Record CudaPlan::vectors(Arena& arena, std::int64_t slots, bool on_tape) const {
  const std::int64_t B = options_.batch, N = spec_.neurons;
  const bool lstm = spec_.cell == Cell::lstm, softmax = spec_.activation == Activation::softmax;
  const auto take = [&](bool exists, std::int64_t width) {
    return TimeSlots<float>{arena.take<float>(exists ? slots * B * width : 0), B * width};
  };
  Record record{};
  record.ring = !on_tape;
  record.output = take(true, N);
  record.post = lstm ? take(true, N) : record.output;
  record.unclamped = take(on_tape && softmax, N);
  record.logits = take(softmax, N);
  record.c = take(lstm, N);
  record.gates = take(on_tape && lstm, 3 * N);
  record.modulation = take(on_tape && spec_.has_modulator(), 1);
  return record;
}

Record CudaPlan::ring(Arena& arena) const {
  Record record = vectors(arena, ring_slots, /*on_tape=*/false);
  record.hebb = {arena.take<float>(trace_size()), 0};
  record.eligibility = {arena.take<float>(spec_.has_eligibility() ? trace_size() : 0), 0};
  return record;
}

Record CudaPlan::tape(Arena& arena, std::int64_t interval) const {
  const std::int64_t T = options_.steps, trace = trace_size();
  Record record = vectors(arena, T + 1, /*on_tape=*/true);
  record.interval = interval;
  // A bfloat16 tape of every step also stores the trace after the last step.
  const std::int64_t checkpoints =
      bf16() && interval == 1 ? T + 1 : std::max<std::int64_t>((T + interval - 1) / interval, 1);
  const std::int64_t hebb = checkpoints * trace, eligibility = spec_.has_eligibility() ? hebb : 0;
  if (bf16()) {
    record.hebb16 = arena.take<std::uint16_t>(hebb);
    record.eligibility16 = arena.take<std::uint16_t>(eligibility);
  } else {
    record.hebb = {arena.take<float>(hebb), trace};
    record.eligibility = {arena.take<float>(eligibility), trace};
  }
  return record;
}

void CudaPlan::add_working_traces(Record& tape, Arena& scratch) const {
  if (!bf16() && interval_ == 1) return;
  float* hebb = scratch.take<float>(trace_size());
  float* eligibility = scratch.take<float>(spec_.has_eligibility() ? trace_size() : 0);
  if (bf16()) {
    tape.hebb = {hebb, 0};
    tape.eligibility = {eligibility, 0};
  } else {
    tape.working_hebb = hebb;
    tape.working_eligibility = eligibility;
  }
}

StepParams CudaPlan::step_params(std::int64_t steps, const Parameters<const float>& parameters,
                                 const Inputs<const float>& inputs, const Masks<float>& masks) const {
  const std::int64_t N = spec_.neurons;
  return {.T = steps,
          .B = options_.batch,
          .N = N,
          .P = spec_.presynaptic(),
          .tiles = static_cast<int>(tiles()),
          .rule = spec_.rule,
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

Load CudaPlan::load_params(const State<const float>& state, const Record& record) const {
  return {.B = options_.batch,
          .N = spec_.neurons,
          .P = spec_.is_plastic() ? spec_.presynaptic() : 0,
          .tiles = static_cast<int>(tiles()),
          .y = state.y,
          .c = state.c,
          .hebb = state.hebb,
          .eligibility = state.eligibility,
          .slot_y = spec_.is_recurrent() ? record.output.base : nullptr,
          .slot_c = record.c.base,
          .slot_hebb = record.hebb.base,
          .slot_eligibility = record.eligibility.base,
          .phase = nullptr};
}

bool CudaPlan::wide(const Parameters<const float>& parameters,
                    std::initializer_list<const void*> others) const {
  return spec_.neurons % wide_columns == 0 && aligned(parameters.w) && aligned(parameters.w_gates) &&
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
                  .addend = inputs.u,
                  .c = currents},
                 stream);
  return currents;
}

}  // namespace plasticity::cuda
