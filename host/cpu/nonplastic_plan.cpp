#include "cpu/nonplastic_plan.hpp"

#include <algorithm>

#include "cpu/cell.hpp"
#include "cpu/gates.hpp"
#include "cpu/input_gradients.hpp"
#include "cpu/padded_rows.hpp"
#include "cpu/tables.hpp"
#include "cpu/tape_header.hpp"
#include "cpu/threads/parallel.hpp"
#include "plan/checkpoints.hpp"

namespace plasticity::cpu {
namespace {

constexpr std::int64_t group_size = 8;  // batch elements that run step by step together

}  // namespace

template <class Real>
NonplasticPlan<Real>::Record::Record(const NonplasticPlan& plan, std::int64_t count, Arena& arena)
    : slots(count) {
  const Spec& spec = plan.spec_;
  const std::int64_t rows = plan.options_.batch * padded<Real>(spec.neurons);
  const bool lstm = spec.cell == Cell::lstm, softmax = spec.activation == Activation::softmax;
  y0 = arena.take<Real>(rows);
  c0 = arena.take<Real>(lstm ? rows : 0);
  output = arena.take<Real>(slots * rows);
  post = lstm ? arena.take<Real>(slots * rows) : output;
  unclamped = softmax ? arena.take<Real>(slots * rows) : post;
  c = arena.take<Real>(lstm ? slots * rows : 0);
  gates = arena.take<Real>(lstm ? 3 * slots * rows : 0);
}

template <class Real>
NonplasticPlan<Real>::ForwardScratch::ForwardScratch(const NonplasticPlan& plan, Arena& arena)
    : record(plan, 2, arena) {
  const std::int64_t S = padded<Real>(plan.spec_.neurons);
  currents = arena.take<Real>(plan.options_.batch * plan.spec_.gates() * S);
  zeros = arena.take<Real>(S);
}

template <class Real>
NonplasticPlan<Real>::BackwardScratch::BackwardScratch(const NonplasticPlan& plan, Arena& arena)
    : list(plan.options_.steps, plan.options_.batch, arena) {
  const Spec& spec = plan.spec_;
  const std::int64_t N = spec.neurons, S = padded<Real>(N), P = spec.presynaptic(), G = spec.gates(),
                     B = plan.options_.batch, rows = plan.options_.steps * B;
  da = arena.take<Real>(rows * G * S);
  doutput = arena.take<Real>(B * S);
  dc = arena.take<Real>(B * S);
  dpost = arena.take<Real>(B * S);
  dx = arena.take<Real>(B * std::max(P, S));
  w_transposed = arena.take<Real>(N * P);
  gates_transposed = arena.take<Real>(spec.cell == Cell::lstm ? 3 * N * N : 0);
  w_in_transposed = arena.take<Real>(spec.is_recurrent() ? spec.inputs * G * N : 0);
  zeros = arena.take<Real>(std::max(P, S));
}

template <class Real>
NonplasticPlan<Real>::NonplasticPlan(const Spec& spec, const PlanOptions& options)
    : spec_(spec),
      options_(options),
      cell_functions_(cell_functions<Real>(instruction_set())),
      products_(products<Real>(instruction_set())) {
  Arena tape(nullptr), forward(nullptr), backward(nullptr);
  Record(*this, options.steps, tape);
  ForwardScratch(*this, forward);
  BackwardScratch(*this, backward);
  tape_bytes_ = tape.bytes() == 0 ? 0 : sizeof(TapeHeader) + tape.bytes();
  scratch_bytes_ = std::max(forward.bytes(), backward.bytes());
  const std::int64_t row = options.batch * spec.neurons;
  Arena state(nullptr);
  if (spec.is_recurrent()) state.take<Real>(row);
  if (spec.cell == Cell::lstm) state.take<Real>(row);
  step_state_bytes_ = state.bytes();
  // Checks the budget. The interval is always 1.
  choose_checkpoint_interval(spec.rule, options, [&](std::int64_t) { return tape_bytes_; });
}

template <class Real>
State<Real> NonplasticPlan<Real>::state_in(StepState step_state) const {
  const std::int64_t row = options_.batch * spec_.neurons;
  Arena arena(step_state.data);
  State<Real> state;
  if (spec_.is_recurrent()) state.y = arena.take<Real>(row);
  if (spec_.cell == Cell::lstm) state.c = arena.take<Real>(row);
  return state;
}

template <class Real>
auto NonplasticPlan<Real>::on_tape(Tape tape) const -> Record {
  Arena arena(tape_bytes_ == 0 ? nullptr : static_cast<std::byte*>(tape.data) + sizeof(TapeHeader));
  return Record(*this, options_.steps, arena);
}

/// Input currents of step t of element b, [gates,N]: x W_in + b + u.
template <class Real>
void NonplasticPlan<Real>::input_currents(const ForwardArgs<Real>& args, std::int64_t t, std::int64_t b,
                                          Real* currents) const {
  const std::int64_t N = spec_.neurons, S = padded<Real>(N), G = spec_.gates(), I = spec_.inputs,
                     row = t * options_.batch + b;
  const bool projected = spec_.is_recurrent() && I > 0;
  pad_rows(at(args.inputs.u, row * G * N), G, N, currents);
  if (!projected) return;
  for (std::int64_t gate = 0; gate < G; ++gate) {
    for (std::int64_t j = 0; j < N; ++j) currents[gate * S + j] += args.parameters.b[gate * N + j];
    products_.multiply(1, N, I, args.inputs.x + row * I, I, args.parameters.w_in + gate * N, G * N,
                       currents + gate * S, S);
  }
}

/// Runs the elements first .. last-1 step by step.
template <class Real>
void NonplasticPlan<Real>::run_group(std::int64_t steps, const ForwardArgs<Real>& args, const Record& record,
                                     const ForwardScratch& scratch, std::int64_t first,
                                     std::int64_t last) const {
  const std::int64_t N = spec_.neurons, S = padded<Real>(N), P = spec_.presynaptic(), G = spec_.gates(),
                     B = options_.batch;
  const bool lstm = spec_.cell == Cell::lstm;
  const Real *y_before[group_size], *c_before[group_size];
  for (std::int64_t b = first; b < last; ++b) {
    pad_rows(spec_.is_recurrent() ? at(args.initial_state.y, b * N) : nullptr, 1, N, record.y0 + b * S);
    if (lstm) pad_rows(at(args.initial_state.c, b * N), 1, N, record.c0 + b * S);
    y_before[b - first] = record.y0 + b * S;
    c_before[b - first] = lstm ? record.c0 + b * S : nullptr;
  }
  const auto length_of = [&](std::int64_t b) {
    return args.masks.length == nullptr ? steps : args.masks.length[b];
  };
  for (std::int64_t t = 0; t < steps; ++t) {
    const Real* x[group_size];
    Real* plastic[group_size];
    Real* gate_rows[3][group_size];
    std::int64_t running[group_size], count = 0;
    for (std::int64_t b = first; b < last; ++b) {
      if (t >= length_of(b)) {
        std::fill_n(args.y + (t * B + b) * N, N, Real(0));
        if (args.a != nullptr) std::fill_n(args.a + (t * B + b) * N, N, Real(0));
        continue;
      }
      if (args.masks.reset != nullptr && args.masks.reset[t * B + b] != 0)
        y_before[b - first] = c_before[b - first] = scratch.zeros;
      Real* const currents = scratch.currents + b * G * S;
      input_currents(args, t, b, currents);
      x[count] = spec_.is_recurrent() ? y_before[b - first] : args.inputs.pre + (t * B + b) * P;
      plastic[count] = currents + (lstm ? 2 * S : 0);
      for (std::int64_t gate = 0; gate < 3; ++gate)
        gate_rows[gate][count] = currents + rows_of_gates[gate] * S;
      running[count++] = b;
    }
    products_.multiply_rows(count, N, P, x, args.parameters.w, N, plastic);
    for (std::int64_t gate = 0; lstm && gate < 3; ++gate)
      products_.multiply_rows(count, N, N, x, args.parameters.w_gates + gate * N, 3 * N, gate_rows[gate]);
    for (std::int64_t k = 0; k < count; ++k) {
      const std::int64_t b = running[k], row = t * B + b, offset = (t % record.slots * B + b) * S;
      if (args.a != nullptr) std::copy_n(plastic[k], N, args.a + row * N);
      Real* const output = record.output + offset;
      Real* const c = lstm ? record.c + offset : nullptr;
      run_cell<Real>(spec_, cell_functions_,
                     {.current = scratch.currents + b * G * S,
                      .clamp = at(args.masks.clamp, row * N),
                      .clamp_value = at(args.masks.clamp_value, row * N),
                      .unclamped = record.unclamped + offset,
                      .post = record.post + offset,
                      .output = output,
                      .gates = lstm ? record.gates + 3 * offset : nullptr,
                      .c_before = c_before[b - first],
                      .c = c});
      std::copy_n(output, N, args.y + row * N);
      y_before[b - first] = output;
      c_before[b - first] = c;
    }
  }
  for (std::int64_t b = first; b < last; ++b) {
    if (args.final_state.y != nullptr) std::copy_n(y_before[b - first], N, args.final_state.y + b * N);
    if (args.final_state.c != nullptr) std::copy_n(c_before[b - first], N, args.final_state.c + b * N);
  }
}

template <class Real>
void NonplasticPlan<Real>::forward_steps(std::int64_t steps, const ForwardArgs<Real>& args,
                                         const Record& record, const ForwardScratch& scratch) const {
  const std::int64_t B = options_.batch;
  std::fill_n(scratch.zeros, B == 0 ? 0 : padded<Real>(spec_.neurons), Real(0));
  parallel_for(options_.device.threads(), (B + group_size - 1) / group_size, [&](std::int64_t group, int) {
    const std::int64_t first = group * group_size;
    run_group(steps, args, record, scratch, first, std::min(first + group_size, B));
  });
}

template <class Real>
void NonplasticPlan<Real>::enqueue_forward(Stream, const ForwardArgs<Real>& args, Tape tape,
                                           Scratch scratch) const {
  Arena arena(scratch.data);
  const ForwardScratch memory(*this, arena);
  const bool records = tape.data != nullptr && tape_bytes_ > 0;
  auto* const header = records ? static_cast<TapeHeader*>(tape.data) : nullptr;
  if (records) header->state = 0;
  forward_steps(options_.steps, args, records ? on_tape(tape) : memory.record, memory);
  if (records) *header = TapeHeader(spec_, options_, 1, GivenMasks::of(args.masks));
}

template <class Real>
void NonplasticPlan<Real>::enqueue_load(Stream, const State<const Real>& state, StepState step_state) const {
  const State<Real> to = state_in(step_state);
  const std::int64_t count = options_.batch * spec_.neurons;
  for (const auto& [from, destination] : {std::pair{state.y, to.y}, std::pair{state.c, to.c}}) {
    if (destination == nullptr) continue;
    if (from == nullptr) std::fill_n(destination, count, Real(0));
    if (from != nullptr) std::copy_n(from, count, destination);
  }
}

template <class Real>
void NonplasticPlan<Real>::enqueue_store(Stream, const State<Real>& state, StepState step_state) const {
  const State<Real> from = state_in(step_state);
  const std::int64_t count = options_.batch * spec_.neurons;
  if (state.y != nullptr) std::copy_n(from.y, count, state.y);
  if (state.c != nullptr) std::copy_n(from.c, count, state.c);
}

template <class Real>
void NonplasticPlan<Real>::enqueue_step(Stream, const StepArgs<Real>& args, StepState step_state,
                                        Scratch scratch) const {
  Arena arena(scratch.data);
  const ForwardScratch memory(*this, arena);
  ForwardArgs<Real> forward;
  forward.parameters = args.parameters;
  forward.inputs = args.inputs;
  forward.masks = args.masks;
  forward.y = args.y;
  forward.a = args.a;
  forward.final_state = state_in(step_state);
  forward.initial_state = {forward.final_state.y, forward.final_state.c, nullptr, nullptr};
  forward_steps(1, forward, memory.record, memory);
}

/// One backward pass.
template <class Real>
struct NonplasticPlan<Real>::Backward {
  const NonplasticPlan& plan;
  const BackwardArgs<Real>& args;
  const Record record;
  const BackwardScratch memory;

  const Spec& spec = plan.spec_;
  const std::int64_t N = spec.neurons, S = padded<Real>(N), P = spec.presynaptic(), G = spec.gates(),
                     I = spec.inputs, T = plan.options_.steps, B = plan.options_.batch, width = G * S;
  const bool lstm = spec.cell == Cell::lstm, projected = spec.is_recurrent() && I > 0;

  std::int64_t length_of(std::int64_t b) const {
    return args.masks.length == nullptr ? T : args.masks.length[b];
  }
  bool resets(std::int64_t t, std::int64_t b) const {
    return args.masks.reset != nullptr && args.masks.reset[t * B + b] != 0;
  }
  Real* da_of(std::int64_t t, std::int64_t b) const { return memory.da + (b * T + t) * width; }
  const Real* pre_of(std::int64_t t, std::int64_t b) const {
    if (!spec.is_recurrent()) return args.inputs.pre + (t * B + b) * P;
    if (resets(t, b)) return memory.zeros;
    return t == 0 ? record.y0 + b * S : record.output + ((t - 1) * B + b) * S;
  }

  void run(std::int64_t b) const {
    Real *const doutput = memory.doutput + b * S, *const dc = memory.dc + b * S;
    pad_rows(at(args.dfinal_state.y, b * N), 1, N, doutput);
    pad_rows(at(args.dfinal_state.c, b * N), 1, N, dc);
    for (std::int64_t t = length_of(b) - 1; t >= 0; --t) {
      reverse_cell(t, b, doutput, dc);
      reverse_read(t, b, doutput);
      if (!resets(t, b)) continue;
      std::fill_n(doutput, S, Real(0));
      std::fill_n(dc, S, Real(0));
    }
    unpad_rows(doutput, 1, N, at(args.dinitial_state.y, b * N));
    unpad_rows(dc, 1, N, at(args.dinitial_state.c, b * N));
    write_input_gradients(spec, plan.products_, T, B, b, length_of(b), da_of(0, b), memory.w_in_transposed,
                          args.dinputs);
  }

  /// Computes da, the gradients of the currents of step t.
  void reverse_cell(std::int64_t t, std::int64_t b, Real* doutput, Real* dc) const {
    const std::int64_t row = t * B + b;
    for (std::int64_t j = 0; args.dy != nullptr && j < N; ++j) doutput[j] += args.dy[row * N + j];
    Real* const dpost = memory.dpost + b * S;
    std::fill_n(dpost, S, Real(0));
    if (lstm) {
      const Real* const c_before = resets(t, b) ? memory.zeros
                                   : t == 0     ? record.c0 + b * S
                                                : record.c + (row - B) * S;
      plan.cell_functions_.lstm_adjoint(S, {.gates = record.gates + 3 * row * S,
                                            .post = record.post + row * S,
                                            .c = record.c + row * S,
                                            .c_before = c_before,
                                            .dh = doutput,
                                            .dc = dc,
                                            .dpost = dpost,
                                            .da = da_of(t, b)});
    } else {
      std::copy_n(doutput, N, dpost);
    }
    const Real* const unclamped = record.unclamped + row * S;
    clear_clamped(at(args.masks.clamp, row * N), dpost, N);
    activate_adjoint(spec.activation, unclamped, softmax_inner(spec.activation, unclamped, dpost, N), dpost,
                     N);
    for (std::int64_t j = 0; args.da != nullptr && j < N; ++j) dpost[j] += args.da[row * N + j];
    Real* const plastic = da_of(t, b) + (lstm ? 2 * S : 0);
    std::copy_n(dpost, N, plastic);
    std::fill(plastic + N, plastic + S, Real(0));
  }

  /// Passes the gradient to x(t): to the output of step t-1, or to the caller.
  void reverse_read(std::int64_t t, std::int64_t b, Real* doutput) const {
    const bool recurrent = spec.is_recurrent();
    if (!recurrent) std::fill_n(doutput, S, Real(0));
    if (!recurrent && args.dinputs.pre == nullptr) return;
    Real* dx = memory.dx + b * std::max(P, S);
    std::fill_n(dx, std::max(P, S), Real(0));
    const Real* da = da_of(t, b) + (lstm ? 2 * S : 0);
    plan.products_.multiply_rows(1, P, N, &da, memory.w_transposed, P, &dx);
    for (std::int64_t gate = 0; lstm && gate < 3; ++gate) {
      const Real* of_gate = da_of(t, b) + rows_of_gates[gate] * S;
      plan.products_.multiply_rows(1, N, N, &of_gate, memory.gates_transposed + gate * N * N, N, &dx);
    }
    if (recurrent) {
      std::copy_n(dx, N, doutput);
    } else {
      std::copy_n(dx, P, args.dinputs.pre + (t * B + b) * P);
    }
  }

  /// Gradients of w, w_gates, w_in and b.
  void weight_gradients() const {
    WeightGradients<Real>{plan.products_, plan.options_.device.threads(), B, N, memory.list}.add_all(
        spec, args.dparameters, args.inputs.x, [&](std::int64_t b) { return length_of(b); },
        [&](std::int64_t b) { return [this, b](std::int64_t t) { return pre_of(t, b); }; },
        [&](std::int64_t t, std::int64_t b) { return da_of(t, b); });
  }
};

template <class Real>
void NonplasticPlan<Real>::enqueue_backward(Stream, const BackwardArgs<Real>& args, Tape tape,
                                            Scratch scratch) const {
  if (tape_bytes_ > 0) check_tape(tape.data, TapeHeader(spec_, options_, 1, GivenMasks::of(args.masks)));
  if (options_.batch == 0) return;
  Arena arena(scratch.data);
  const Backward pass{*this, args, on_tape(tape), BackwardScratch(*this, arena)};
  const std::int64_t N = spec_.neurons;
  std::fill_n(pass.memory.zeros, std::max(pass.P, pass.S), Real(0));
  transpose(args.parameters.w, pass.memory.w_transposed, pass.P, N);
  if (pass.lstm) transpose(args.parameters.w_gates, pass.memory.gates_transposed, N, 3 * N);
  if (pass.projected) transpose(args.parameters.w_in, pass.memory.w_in_transposed, pass.I, pass.G * N);
  parallel_for(options_.device.threads(), options_.batch, [&](std::int64_t b, int) { pass.run(b); });
  pass.weight_gradients();
}

template class NonplasticPlan<float>;
template class NonplasticPlan<double>;

}  // namespace plasticity::cpu
