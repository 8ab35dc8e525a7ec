#include "cuda/cuda_plan.hpp"

#include <algorithm>

#include "cuda/memory.hpp"
#include "cuda/runtime.hpp"
#include "fail.hpp"
#include "step/tuning.hpp"

namespace plasticity::cuda {
namespace {

constexpr std::int64_t ring_slots = 3;

bool aligned(const void* pointer) { return reinterpret_cast<std::uintptr_t>(pointer) % 16 == 0; }

}  // namespace

CudaPlan::CudaPlan(const Spec& spec, const PlanOptions& options) : spec_(spec), options_(options) {
  if (options.precision == Precision::f64) {
    fail(ErrorCode::unsupported, "options.precision", "f32 or bf16 on a CUDA device", "f64");
  }
  if (options.checkpoint_interval > 1) {
    fail(ErrorCode::unsupported, "options.checkpoint_interval",
         "0 or 1 on a CUDA device, where the tape keeps every step's trace",
         text(options.checkpoint_interval));
  }
  check_grids();
  Carver tape(nullptr);
  record(tape, true);
  tape_bytes_ = tape.bytes();
  if (options.memory_budget > 0 && options.memory_budget < tape_bytes_) {
    fail(ErrorCode::unsupported, "options.memory_budget",
         text("at least ", tape_bytes_, " bytes on a CUDA device, where the tape keeps every step's trace"),
         text(options.memory_budget));
  }
  const CurrentDevice current(options.device.index());
  blas_ = BlasHandles::of(options.device.index());
  Carver forward(nullptr), backward(nullptr), live(nullptr);
  forward.take<float>(projected() ? std::max<std::int64_t>(options.steps, 1) * options.batch * width() : 0);
  record(forward, false);
  BackwardMemory(*this, backward);
  LiveMemory(*this, live);
  scratch_bytes_ = std::max(forward.bytes(), backward.bytes());
  live_bytes_ = live.bytes();
}

std::int64_t CudaPlan::tiles() const { return (spec_.neurons + tile_columns - 1) / tile_columns; }

void CudaPlan::check_grids() const {
  constexpr std::int64_t most = 0x7fffffff;
  const std::int64_t N = spec_.neurons, P = spec_.presynaptic(), I = spec_.inputs, B = options_.batch;
  const std::int64_t rows = std::max<std::int64_t>(options_.steps, 1) * B;
  const auto refuse = [&](const char* what, std::int64_t blocks) {
    if (blocks <= most) return;
    fail(ErrorCode::unsupported, what, text("a launch of at most ", most, " blocks on a CUDA device"),
         text(blocks));
  };
  refuse("options.batch", B * tiles());
  refuse("options.steps", product_blocks(rows, std::max(width(), I)));
  refuse("spec.neurons", replay_blocks(replay_groups(B, N, P), N, P));
}

Record CudaPlan::record(Carver& carver, bool on_tape) const {
  const std::int64_t B = options_.batch, N = spec_.neurons, trace = B * spec_.presynaptic() * N;
  const std::int64_t slots = on_tape ? options_.steps + 1 : ring_slots;
  const bool lstm = spec_.cell == Cell::lstm, softmax = spec_.activation == Activation::softmax;
  const auto vectors = [&](bool there, std::int64_t width) {
    return Rows<float>{carver.take<float>(there ? slots * B * width : 0), B * width};
  };
  const std::int64_t kept = std::max<std::int64_t>(options_.steps, 1) * trace;
  const bool slots32 = on_tape && !bf16(), slots16 = on_tape && bf16();
  const auto traces = [&](bool there) {
    return Rows<float>{carver.take<float>(there ? (slots32 ? kept : trace) : 0), slots32 ? trace : 0};
  };
  Record record{};
  record.ring = !on_tape;
  record.shown = vectors(true, N);
  record.post = lstm ? vectors(true, N) : record.shown;
  record.activated = vectors(on_tape && softmax, N);
  record.raw = vectors(softmax, N);
  record.c = vectors(lstm, N);
  record.gates = vectors(on_tape && lstm, 3 * N);
  record.modulation = vectors(on_tape && spec_.has_modulator(), 1);
  const std::int64_t rounded = slots16 ? (options_.steps + 1) * trace : 0;
  record.hebb16 = carver.take<std::uint16_t>(rounded);
  record.eligibility16 = carver.take<std::uint16_t>(spec_.has_eligibility() ? rounded : 0);
  record.hebb = traces(true);
  record.eligibility = traces(spec_.has_eligibility());
  return record;
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
