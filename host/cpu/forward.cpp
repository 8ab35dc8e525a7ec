#include "cpu/cell.hpp"
#include "cpu/cpu_plan.hpp"
#include "cpu/parallel.hpp"

namespace plasticity::cpu {

template <class Real, class Trace>
struct CpuPlan<Real, Trace>::ForwardPass {
  const CpuPlan& plan;
  const ForwardArgs<Real>& args;
  Tape tape;
  std::byte* spaces;  // one ForwardSpace for each thread
  std::size_t space_bytes;
  Connection<Real> connection;

  // Sizes under the names of the equations.
  const Spec& spec = plan.spec_;
  const std::int64_t N = spec.neurons, P = spec.presynaptic(), B = plan.options_.batch;
  const std::int64_t width = spec.gates() * N;

  void run(std::int64_t b, int worker) const {
    Carver carver(spaces + static_cast<std::size_t>(worker) * space_bytes);
    const ForwardSpace<Real> space(spec, carver);
    std::fill_n(space.zeros, std::max(P, N), Real(0));
    const bool records = tape.data != nullptr, lstm = spec.cell == Cell::lstm;
    const bool eligible = spec.has_eligibility();
    const std::int64_t K = plan.interval_, T = plan.options_.steps, PN = P * N;
    const std::int64_t length = args.masks.length == nullptr ? T : args.masks.length[b];

    convert_or_zero(spec.is_recurrent() ? args.initial_state.y : nullptr, b * N, space.y0, N);
    if (lstm) convert_or_zero(args.initial_state.c, b * N, space.c, N);
    Carver nothing(nullptr);
    const TapeElement<Real, Trace> record =
        records ? plan.tape_element(tape, b) : TapeElement<Real, Trace>(spec, 0, 1, nothing);
    if (records && spec.is_recurrent()) std::copy_n(space.y0, N, record.y0);
    if (records && lstm) std::copy_n(space.c, N, record.c0);

    convert_or_zero(args.initial_state.hebb, b * PN, space.hebb, PN);
    if (eligible) convert_or_zero(args.initial_state.eligibility, b * PN, space.eligibility, PN);

    // The update of the step before, in place; none waits where its x is null.
    TraceUpdate<Real> pending{space.hebb, space.hebb, space.eligibility, space.eligibility,
                              nullptr,    nullptr,    space.rate};
    const Real* y_before = space.y0;
    for (std::int64_t t = 0; t < length; ++t) {
      const std::int64_t row = t * B + b;
      if (t % ForwardSpace<Real>::chunk == 0) {
        plan.input_currents(args.parameters, args.inputs, b, t,
                            std::min(ForwardSpace<Real>::chunk, length - t), space.currents);
      }
      std::copy_n(space.currents + t % ForwardSpace<Real>::chunk * width, width, space.current);

      if (args.masks.reset != nullptr && args.masks.reset[row] != 0) {
        y_before = space.zeros;
        pending.x = nullptr;
        std::fill_n(space.hebb, PN, Real(0));
        if (eligible) std::fill_n(space.eligibility, PN, Real(0));
        if (lstm) std::fill_n(space.c, N, Real(0));
      }
      const Real* x = spec.is_recurrent() ? y_before : args.inputs.pre + row * P;
      const PlasticRead<Real> read{x, space.current + (lstm ? 2 * N : 0)};
      if (pending.x == nullptr) {
        plan.sweeps_.read(spec.rule, connection, space.hebb, read);
      } else {
        plan.sweeps_.update_and_read(spec.rule, spec.eligibility, connection, pending, read);
      }
      if (records && t % K == 0) {
        convert(space.hebb, record.hebb + t / K * PN, PN);
        if (eligible) convert(space.eligibility, record.eligibility + t / K * PN, PN);
      }
      if (lstm) plan.add_gate_products(args.parameters, x, space.current);

      Real* out = args.y + row * N;
      Real* post = lstm ? space.post : out;
      run_cell<Real>(
          spec, {.current = space.current,
                 .clamp = args.masks.clamp == nullptr ? nullptr : args.masks.clamp + row * N,
                 .clamp_value = args.masks.clamp_value + (args.masks.clamp == nullptr ? 0 : row * N),
                 .activated = records && record.activated != record.post ? record.activated + t * N : post,
                 .post = post,
                 .out = out,
                 .gates = space.gates,
                 .c = space.c});
      Real modulation = 0;
      if (spec.has_modulator()) {
        modulation =
            modulate(args.parameters, spec.modulator_source == ModulatorSource::cell ? space.c : out, N);
        if (records) record.modulation[t] = modulation;
        if (args.modulation != nullptr) args.modulation[row] = modulation;
      }
      if (records) {
        std::copy_n(out, N, record.out + t * N);
        if (lstm) {
          std::copy_n(post, N, record.post + t * N);
          std::copy_n(space.c, N, record.c + t * N);
          std::copy_n(space.gates, 3 * N, record.gates + t * 3 * N);
        }
      }
      const Real* external = args.inputs.rate == nullptr ? nullptr : args.inputs.rate + row * N;
      fill_rate(spec, args.parameters, modulation, external, space.rate);
      pending.x = x;
      pending.y = post;
      y_before = out;
    }
    for (std::int64_t t = length; t < T; ++t) {
      std::fill_n(args.y + (t * B + b) * N, N, Real(0));
      if (args.modulation != nullptr) args.modulation[t * B + b] = 0;
    }
    finish(space, b, pending, y_before);
  }

  /// Applies the last update and gives the state out.
  void finish(const ForwardSpace<Real>& space, std::int64_t b, const TraceUpdate<Real>& pending,
              const Real* y) const {
    const State<Real>& state = args.final_state;
    const std::int64_t PN = P * N;
    if (state.y != nullptr) std::copy_n(y, N, state.y + b * N);
    if (state.c != nullptr) std::copy_n(space.c, N, state.c + b * N);
    if (state.hebb == nullptr && state.eligibility == nullptr) return;
    if (pending.x != nullptr) plan.sweeps_.update(spec.rule, spec.eligibility, connection, pending);
    if (state.hebb != nullptr) std::copy_n(space.hebb, PN, state.hebb + b * PN);
    if (state.eligibility != nullptr) std::copy_n(space.eligibility, PN, state.eligibility + b * PN);
  }
};

template <class Real, class Trace>
void CpuPlan<Real, Trace>::input_currents(const Parameters<const Real>& parameters,
                                          const Inputs<const Real>& inputs, std::int64_t b, std::int64_t t0,
                                          std::int64_t count, Real* currents) const {
  const std::int64_t width = spec_.gates() * spec_.neurons, B = options_.batch, I = spec_.inputs;
  const bool projected = spec_.is_recurrent() && I > 0;
  for (std::int64_t t = 0; t < count; ++t) {
    Real* current = currents + t * width;
    if (projected) {
      std::copy_n(parameters.b, width, current);
    } else if (inputs.u != nullptr) {
      std::copy_n(inputs.u + ((t0 + t) * B + b) * width, width, current);
    } else {
      std::fill_n(current, width, Real(0));
    }
  }
  if (projected) {
    products_.multiply(count, width, I, inputs.x + (t0 * B + b) * I, B * I, parameters.w_in, width, currents,
                       width);
  }
}

template <class Real, class Trace>
void CpuPlan<Real, Trace>::add_gate_products(const Parameters<const Real>& parameters, const Real* h,
                                             Real* current) const {
  const std::int64_t N = spec_.neurons;
  products_.multiply(1, 2 * N, N, h, N, parameters.w_gates, 3 * N, current, 4 * N);
  products_.multiply(1, N, N, h, N, parameters.w_gates + 2 * N, 3 * N, current + 3 * N, 4 * N);
}

template <class Real, class Trace>
std::size_t CpuPlan<Real, Trace>::forward_space_bytes() const {
  Carver counter(nullptr);
  ForwardSpace<Real>(spec_, counter);
  return counter.bytes();
}

template <class Real, class Trace>
std::size_t CpuPlan<Real, Trace>::forward_scratch_bytes() const {
  Carver counter(nullptr);
  counter.take<Real>(spec_.neurons);
  return counter.bytes() + static_cast<std::size_t>(workers()) * forward_space_bytes();
}

template <class Real, class Trace>
void CpuPlan<Real, Trace>::forward(Stream, const ForwardArgs<Real>& args, Tape tape, Scratch scratch) const {
  Carver carver(scratch.data);
  Real* alpha_row = carver.take<Real>(spec_.neurons);
  const std::size_t bytes = forward_space_bytes();
  std::byte* spaces = carver.take<std::byte>(static_cast<std::int64_t>(bytes) * workers());
  const ForwardPass pass{*this, args, tape, spaces, bytes, connection(args.parameters, alpha_row)};
  parallel_for(workers(), options_.batch, [&](std::int64_t b, int worker) { pass.run(b, worker); });
}

template class CpuPlan<float, float>;
template class CpuPlan<double, double>;
template class CpuPlan<float, Bfloat16>;

}  // namespace plasticity::cpu
