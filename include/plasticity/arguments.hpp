#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "plasticity/config.h"
#include "plasticity/spec.hpp"

// The argument structs of the core calls (Plan) and of the reference: plain pointers into the caller's
// buffers, row-major, contiguous. Every group of tensors has a `members()` table that gives the tensors'
// names in files, so that code can walk over them; shapes come from the functions at the end.
namespace plasticity {

/// The shape of a tensor, of rank 1 to 3.
struct Shape {
  std::array<std::int64_t, 3> size{};  ///< the first `rank` count
  int rank = 0;                        ///< 1 to 3
  /// The product of the sizes.
  std::int64_t elements() const {
    std::int64_t product = 1;
    for (int axis = 0; axis < rank; ++axis) product *= size[static_cast<std::size_t>(axis)];
    return product;
  }
  bool operator==(const Shape&) const = default;  ///< by value
};

/// A named tensor of a group, by pointer to member.
template <class Group, class Pointer>
struct Member {
  std::string_view name;    ///< in files
  Pointer Group::*pointer;  ///< in the struct
};

/// The trainable tensors. Which of them a Spec has, and in what shape, parameter_shape() tells.
template <class Real>
struct Parameters {
  Real* w_in = nullptr;     ///< [I,N]; lstm [I,4N], gates in the order i f g o. Absent when inputs = 0
  Real* b = nullptr;        ///< [N]; lstm [4N]. Absent when inputs = 0 and in a feedforward cell
  Real* w = nullptr;        ///< [P,N] fixed weights of the plastic connection
  Real* w_gates = nullptr;  ///< [N,3N] lstm only: recurrent weights of i f o
  Real* alpha = nullptr;    ///< [1], [N] or [P,N] plasticity coefficients
  Real* eta = nullptr;      ///< [1] fixed rate, or constant of the eligibility trace
  Real* modulator_weight = nullptr;  ///< [N] v
  Real* modulator_bias = nullptr;    ///< [1] v0
  Real* fan_out_weight = nullptr;    ///< [N] F
  Real* fan_out_bias = nullptr;      ///< [N] F0

  using Entry = Member<Parameters, Real*>;  ///< a name and its member
  /// The members by their names in files.
  static constexpr std::array<Entry, 10> members() {
    return {{{"w_in", &Parameters::w_in},
             {"b", &Parameters::b},
             {"w", &Parameters::w},
             {"w_gates", &Parameters::w_gates},
             {"alpha", &Parameters::alpha},
             {"eta", &Parameters::eta},
             {"modulator.weight", &Parameters::modulator_weight},
             {"modulator.bias", &Parameters::modulator_bias},
             {"fan_out.weight", &Parameters::fan_out_weight},
             {"fan_out.bias", &Parameters::fan_out_bias}}};
  }
};

/// What enters the network at every step.
template <class Real>
struct Inputs {
  Real* x = nullptr;     ///< [T,B,I] rnn with inputs > 0, lstm: goes through w_in and b
  Real* u = nullptr;     ///< [T,B,N] input current: rnn with inputs = 0; feedforward (null = zero)
  Real* pre = nullptr;   ///< [T,B,I] feedforward: the presynaptic activity
  Real* rate = nullptr;  ///< [T,B,N] the rate g, when it is external

  using Entry = Member<Inputs, Real*>;  ///< a name and its member
  /// The members by their names in files.
  static constexpr std::array<Entry, 4> members() {
    return {{{"x", &Inputs::x}, {"u", &Inputs::u}, {"pre", &Inputs::pre}, {"rate", &Inputs::rate}}};
  }
};

/// What is carried from step to step.
template <class Real>
struct State {
  Real* y = nullptr;            ///< [B,N] y of an rnn, h of an lstm
  Real* c = nullptr;            ///< [B,N] cell state of an lstm
  Real* hebb = nullptr;         ///< [B,P,N] Hebbian trace
  Real* eligibility = nullptr;  ///< [B,P,N] eligibility trace

  using Entry = Member<State, Real*>;  ///< a name and its member
  /// The members by their names in files.
  static constexpr std::array<Entry, 4> members() {
    return {
        {{"y", &State::y}, {"c", &State::c}, {"hebb", &State::hebb}, {"eligibility", &State::eligibility}}};
  }
};

/// What overrides a step. All may be null. Masks are 0 or 1; any other value counts as 1.
template <class Real>
struct Masks {
  /// [T,B] 1: y, c, hebb, eligibility of b are zero before step t; gradients are cut.
  const std::uint8_t* reset = nullptr;
  /// [B] 0..T: from step `length` on outputs are zero, the state stays, no gradient.
  const std::int64_t* length = nullptr;
  /// [T,B,N] 1: the postsynaptic activity is clamp_value, without gradient.
  const std::uint8_t* clamp = nullptr;
  /// [T,B,N] needed with clamp.
  const Real* clamp_value = nullptr;
};

/// Arguments of a forward pass over T steps.
template <class Real>
struct ForwardArgs {
  Parameters<const Real> parameters;  ///< all that the spec has
  Inputs<const Real> inputs;          ///< all that the spec has; u may be null
  Masks<Real> masks;                  ///< what overrides a step
  State<const Real> initial_state;    ///< a null tensor is zero
  Real* y = nullptr;                  ///< [T,B,N] out: y of every step (lstm: h). Required
  Real* modulation = nullptr;         ///< [T,B] out: M of every step, or null
  /// out: the state after the last step; null = not wanted. May alias initial_state.
  State<Real> final_state;
};

/// Arguments of a backward pass: those of the forward pass, the upstream gradients, and where the gradients
/// go.
template <class Real>
struct BackwardArgs {
  Parameters<const Real> parameters;  ///< as they were given to forward
  Inputs<const Real> inputs;          ///< as they were given to forward
  Masks<Real> masks;                  ///< as they were given to forward
  /// As it was given to forward. A Plan has it on its tape and does not look here.
  State<const Real> initial_state;
  const Real* dy = nullptr;        ///< [T,B,N] upstream gradient of y; null = zero
  State<const Real> dfinal_state;  ///< upstream gradients of the final state; null = zero
  Parameters<Real> dparameters;    ///< out, ADDED to what is there; null = not wanted
  Inputs<Real> dinputs;            ///< out, overwritten; null = not wanted
  State<Real> dinitial_state;      ///< out, overwritten; null = not wanted. May alias dfinal_state
};

/// Arguments of a single step, for a network that acts and does not learn through it. Tensors as in
/// ForwardArgs, T = 1.
template <class Real>
struct StepArgs {
  Parameters<const Real> parameters;  ///< all that the spec has
  Inputs<const Real> inputs;          ///< [1,B,..]: of this step
  Masks<Real> masks;                  ///< `length` must be null
  Real* y = nullptr;                  ///< [B,N] out. Required
  Real* modulation = nullptr;         ///< [B] out, or null
};

/// @{
/// The shape of a tensor by its name in files ("w_in", "fan_out.weight"; "x"; "hebb"); empty when the spec
/// has none such. The spec is a valid one, and its sizes are such that a Plan takes them.
PLASTICITY_API std::optional<Shape> parameter_shape(const Spec& spec, std::string_view name);
PLASTICITY_API std::optional<Shape> input_shape(const Spec& spec, std::int64_t steps, std::int64_t batch,
                                                std::string_view name);
PLASTICITY_API std::optional<Shape> state_shape(const Spec& spec, std::int64_t batch, std::string_view name);
/// @}

}  // namespace plasticity
