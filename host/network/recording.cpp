#include <algorithm>
#include <tuple>

#include "base/throw_error.hpp"
#include "check/overlap.hpp"
#include "network/implementation.hpp"

// The recorded windows of a network.
namespace plasticity {

template <class Real>
void NetworkImplementation<Real>::check_state_continues() const {
  if (windows.count() == 0) return;
  if (windows.has_later_gradient()) {
    bad_argument("forward",
                 "backward() for every recorded window, or detach(), before new steps are recorded",
                 str_cat(windows.count(), " windows without backward()"));
  }
  if (windows.has_state_moved() || !state.is_unchanged()) {
    bad_argument("forward",
                 "the state after the last recorded window, because gradients flow through it (detach() "
                 "discards the windows)",
                 windows.has_state_moved() ? "a state that infer() has advanced"
                                           : "a state that the caller has changed");
  }
}

template <class Real>
void NetworkImplementation<Real>::check_last_window() const {
  if (windows.count() == 0) bad_argument("backward", "a window that forward() recorded", "none");
  const std::uint64_t version = parameters->version(),
                      checksum = checks_parameters ? parameters->checksum() : 0;
  bool is_changed = false;
  for (std::size_t k = windows.first_to_run(); k < windows.count(); ++k)
    is_changed = is_changed || windows[k].version != version || windows[k].checksum != checksum;
  if (!is_changed) return;
  bad_argument("backward",
               "the parameters that forward() used (call backward() before an optimizer's step or load(), or "
               "detach() to discard the windows)",
               "parameters that have changed since");
}

template <class Real>
std::span<const Real> NetworkImplementation<Real>::record(const BasicSequence<Real>& sequence) {
  check_state_continues();
  Window<Real>& window = windows.next();
  const Plan& p = plan(sequence.steps);
  const auto last = std::pair(last_modulation, last_preactivation);
  std::optional<StateCheckpoint> checkpoint;
  if (windows.next_needs_checkpoint()) checkpoint = make_checkpoint(windows.count());
  try {
    window.length.assign(sequence.length.begin(), sequence.length.end());
    run(window, sequence, p, /*owns_inputs=*/true, windows.next_has_tape());
  } catch (...) {
    if (checkpoint) windows.give_back(std::move(*checkpoint));
    std::tie(last_modulation, last_preactivation) = last;
    throw;
  }
  window.version = parameters->version();
  window.checksum = checks_parameters ? parameters->checksum() : 0;
  windows.add_next(std::move(checkpoint));
  return window.outputs.y;
}

template <class Real>
StateCheckpoint NetworkImplementation<Real>::make_checkpoint(std::size_t window) {
  const std::int64_t B = state.batch();
  StateCheckpoint checkpoint = windows.take_checkpoint(window, options.device, state_bytes<Real>(spec, B));
  const State<Real> to = state_in<Real>(spec, B, checkpoint.memory.data());
  if (is_stepping) {
    plan(1).store(options.stream, to, step_state.as<StepState>());
    return checkpoint;
  }
  const State<Real> from = state.values();
  for (const auto& member : State<Real>::members()) {
    const std::optional<Shape> shape = state_shape(spec, B, member.name);
    if (!shape) continue;
    copy(options.device, options.stream, to.*member.pointer, from.*member.pointer,
         static_cast<std::size_t>(shape->elements()) * sizeof(Real));
  }
  return checkpoint;
}

/// Runs windows first .. end-1 again, from the state `initial`. `working` holds the state between them, and
/// the final state unless the windows write tapes.
template <class Real>
void NetworkImplementation<Real>::replay(std::size_t first, std::size_t end, const State<Real>& initial,
                                         const State<Real>& working, bool writes_tapes) {
  const std::int64_t B = state.batch();
  for (std::size_t k = first; k < end; ++k) {
    Window<Real>& window = windows[k];
    const Plan& p = plan(window.steps);
    make_room(scratch, options.device, p.scratch_bytes());
    make_room(replayed_outputs, options.device, window.outputs.y.size() * sizeof(Real));
    if (writes_tapes && !window.has_tape) window.tape = windows.take_tape(options.device, p.tape_bytes());
    ForwardArgs<Real> args;
    args.parameters = parameters->values();
    args.inputs = window.inputs;
    args.masks = window.masks;
    args.initial_state = as_const(k == first ? initial : working);
    if (!writes_tapes || k + 1 < end) args.final_state = working;
    args.y = B == 0 ? nullptr : static_cast<Real*>(replayed_outputs.data());
    p.forward(options.stream, args, writes_tapes ? window.tape.template as<Tape>() : Tape{},
              scratch.as<Scratch>());
    window.has_tape = writes_tapes;
  }
}

/// Writes the tape of window `last`, and those of at most max_tapes() - 1 windows before it.
template <class Real>
void NetworkImplementation<Real>::write_tapes(std::size_t last) {
  const std::int64_t B = state.batch();
  const auto state_of = [&](const StateCheckpoint& checkpoint) {
    return state_in<Real>(spec, B, checkpoint.memory.data());
  };
  if (last - windows.last_checkpoint().window >= windows.max_tapes()) {
    StateCheckpoint middle =
        windows.take_checkpoint(last + 1 - windows.max_tapes(), options.device, state_bytes<Real>(spec, B));
    const StateCheckpoint& first = windows.last_checkpoint();
    replay(first.window, middle.window, state_of(first), state_of(middle), /*writes_tapes=*/false);
    windows.add_checkpoint(std::move(middle));
  }
  make_room(replayed_state, options.device, state_bytes<Real>(spec, B));
  const StateCheckpoint& start = windows.last_checkpoint();
  replay(start.window, last + 1, state_of(start), state_in<Real>(spec, B, replayed_state.data()),
         /*writes_tapes=*/true);
}

namespace {

template <class Real>
Real* gradient(const Spec& spec, std::int64_t steps, std::int64_t batch, const char* name,
               std::span<Real> view) {
  if (view.empty()) return nullptr;
  const std::optional<Shape> shape = input_shape(spec, steps, batch, name);
  if (!shape) {
    bad_argument(str_cat("gradients.", name),
                 str_cat("an empty view, because the spec has no such tensor (", to_string(spec), ")"),
                 str_cat(view.size(), " elements"));
  }
  if (static_cast<std::int64_t>(view.size()) != shape->elements()) {
    bad_argument(str_cat("gradients.", name), str_cat(shape->elements(), " elements"), str_cat(view.size()));
  }
  return view.data();
}

/// Calls `call(name, view)` for the views of a StateViews that are not empty, after checking their sizes.
template <class Real, class Call>
void for_each_view(const Spec& spec, std::int64_t batch, const char* group, const StateViews<Real>& views,
                   Call call) {
  const std::pair<const char*, std::span<Real>> list[] = {
      {"y", views.y}, {"c", views.c}, {"hebb", views.hebb}, {"eligibility", views.eligibility}};
  for (const auto& [name, view] : list) {
    if (view.empty()) continue;
    const std::optional<Shape> shape = state_shape(spec, batch, name);
    if (!shape || static_cast<std::int64_t>(view.size()) != shape->elements()) {
      bad_argument(str_cat(group, '.', name),
                   shape ? str_cat(shape->elements(), " elements")
                         : "an empty view, because the spec has no such tensor",
                   str_cat(view.size(), " elements"));
    }
    call(name, view);
  }
}

/// Throws if the gradients of the initial state, which are copied after the pass, overlap another gradient.
template <class Real>
void check_initial_state(const BasicSequenceGradients<Real>& gradients) {
  const StateViews<Real>& initial = gradients.initial_state;
  const NamedMemory x("gradients.x", gradients.x), u("gradients.u", gradients.u),
      pre("gradients.pre", gradients.pre), rate("gradients.rate", gradients.rate),
      y("gradients.initial_state.y", initial.y), c("gradients.initial_state.c", initial.c),
      hebb("gradients.initial_state.hebb", initial.hebb);
  check_no_overlap(y, {x, u, pre, rate});
  check_no_overlap(c, {x, u, pre, rate, y});
  check_no_overlap(hebb, {x, u, pre, rate, y, c});
  check_no_overlap({"gradients.initial_state.eligibility", initial.eligibility},
                   {x, u, pre, rate, y, c, hebb});
}

}  // namespace

// M = tanh(v . y + v0), so dM adds q v to dy, q y to dv and q to dv0, q = dM (1 - M^2).
template <class Real>
std::vector<Real> NetworkImplementation<Real>::through_modulator(const Window<Real>& window,
                                                                 std::span<const Real> dy,
                                                                 std::span<const Real> dmodulation,
                                                                 std::vector<Real>& dv, Real& dv0) const {
  const auto N = static_cast<std::size_t>(spec.neurons);
  const auto B = static_cast<std::size_t>(state.batch());
  const std::vector<Real> v = parameters->host_value("modulator.weight");
  std::vector<Real> sum(window.outputs.y.size());
  std::copy(dy.begin(), dy.end(), sum.begin());
  dv.assign(N, Real(0));
  dv0 = 0;
  for (std::size_t row = 0; row < dmodulation.size(); ++row) {
    const std::size_t t = row / B, b = row % B;
    if (!window.length.empty() && static_cast<std::int64_t>(t) >= window.length[b]) continue;
    const Real M = window.outputs.modulation[row], q = dmodulation[row] * (1 - M * M);
    const Real* y = window.outputs.y.data() + row * N;
    for (std::size_t j = 0; j < N; ++j) {
      sum[row * N + j] += q * v[j];
      dv[j] += q * y[j];
    }
    dv0 += q;
  }
  return sum;
}

template <class Real>
void NetworkImplementation<Real>::check_upstream(const Window<Real>& window, std::span<const Real> dy,
                                                 const BasicUpstreamGradients<Real>& more) const {
  if (!dy.empty() && dy.size() != window.outputs.y.size()) {
    bad_argument("dy", str_cat(window.outputs.y.size(), " elements"), str_cat(dy.size()));
  }
  if (!more.preactivation.empty() && more.preactivation.size() != window.outputs.y.size()) {
    bad_argument("upstream.preactivation", str_cat(window.outputs.y.size(), " elements"),
                 str_cat(more.preactivation.size()));
  }
  if (more.modulation.empty()) return;
  const std::int64_t rows = window.steps * state.batch();
  if (!spec.has_modulator() || static_cast<std::int64_t>(more.modulation.size()) != rows) {
    bad_argument("upstream.modulation",
                 spec.has_modulator() ? str_cat(rows, " elements")
                                      : "an empty view, because the network has no modulator",
                 str_cat(more.modulation.size(), " elements"));
  }
  if (spec.modulator_source == ModulatorSource::cell) {
    throw_error(ErrorCode::unsupported, "upstream.modulation",
                "an empty view for a modulator that reads the cell state", "a gradient");
  }
}

template <class Real>
void NetworkImplementation<Real>::backward(std::span<const Real> dy,
                                           const BasicSequenceGradients<Real>& gradients,
                                           const BasicUpstreamGradients<Real>& more) {
  check_last_window();
  Window<Real>& window = windows.last();
  const std::int64_t T = window.steps, B = state.batch();
  check_upstream(window, dy, more);
  check_initial_state(gradients);
  const Plan& p = plan(T);
  BackwardArgs<Real> args;
  args.dinputs = {.x = gradient(spec, T, B, "x", gradients.x),
                  .u = gradient(spec, T, B, "u", gradients.u),
                  .pre = gradient(spec, T, B, "pre", gradients.pre),
                  .rate = gradient(spec, T, B, "rate", gradients.rate)};
  bool wants_initial = windows.count() > 1;  // the window before this one needs its gradient
  bool has_final = windows.has_later_gradient();
  for_each_view(spec, B, "gradients.initial_state", gradients.initial_state,
                [&](const char*, std::span<Real>) { wants_initial = true; });
  for_each_view(spec, B, "upstream.final_state", more.final_state,
                [&](const char*, std::span<const Real>) { has_final = true; });
  if (!window.has_tape) write_tapes(windows.count() - 1);

  std::vector<Real> sum, dv;
  Real dv0 = 0, buffer0;
  if (!more.modulation.empty()) dy = sum = through_modulator(window, dy, more.modulation, dv, dv0);
  args.dy = dy.empty() ? nullptr : dy.data();
  args.da = more.preactivation.empty() ? nullptr : more.preactivation.data();
  args.inputs = window.inputs;
  args.masks = window.masks;
  Staging staging(options.device, options.stream, upstream);
  staging.read(args.dy, static_cast<std::int64_t>(dy.size()));
  staging.read(args.da, static_cast<std::int64_t>(more.preactivation.size()));
  staging.write_group(spec, T, B, args.dinputs);
  staging.send();
  make_room(scratch, options.device, p.scratch_bytes());
  if (wants_initial) args.dinitial_state = state.gradients();
  if (has_final) args.dfinal_state = as_const(state.gradients());
  args.parameters = parameters->values();
  args.dparameters = parameters->gradients();
  if (has_final && !windows.has_later_gradient()) state.set_gradients_zero();
  std::vector<Real> buffer(dv.size());
  std::vector<std::pair<const char*, std::vector<Real>>> before;  // restored if the pass throws
  try {
    for_each_view(spec, B, "upstream.final_state", more.final_state,
                  [&](const char* name, std::span<const Real> view) {
                    if (windows.has_later_gradient())
                      state.copy_gradient(name, before.emplace_back(name, view.size()).second);
                    state.add_to_gradient(name, view);
                  });
    p.backward(options.stream, args, window.tape.template as<Tape>(), scratch.as<Scratch>());
  } catch (...) {
    for (const auto& [name, gradient_before] : before) state.set_gradient(name, gradient_before);
    throw;
  }
  if (!more.modulation.empty()) {
    parameters->add_to_gradient("modulator.weight", dv, buffer);
    parameters->add_to_gradient("modulator.bias", {&dv0, 1}, {&buffer0, 1});
  }
  staging.fetch();
  for_each_view(spec, B, "gradients.initial_state", gradients.initial_state,
                [&](const char* name, std::span<Real> view) { state.copy_gradient(name, view); });
  parameters->download_gradients();
  windows.remove_last();
}

template struct NetworkImplementation<float>;
template struct NetworkImplementation<double>;

}  // namespace plasticity
