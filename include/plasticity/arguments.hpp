#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "plasticity/config.h"
#include "plasticity/spec.hpp"

// The argument structs of Plan and of the reference. They hold plain pointers to the caller's buffers. Every
// tensor is row-major and contiguous. parameter_shape(), input_shape() and state_shape() return the shapes.
// A loop over the tensors of a group uses its members() table.
namespace plasticity {

/// The shape of a tensor of rank 1 to 3.
struct Shape {
  std::array<std::int64_t, 3> size{};  ///< the first `rank` entries are used
  int rank = 0;                        ///< 1 to 3
  /// Returns the number of elements, the product of the sizes.
  std::int64_t elements() const {
    std::int64_t product = 1;
    for (int axis = 0; axis < rank; ++axis) product *= size[static_cast<std::size_t>(axis)];
    return product;
  }
  bool operator==(const Shape&) const = default;  ///< compares all fields
};

/// One tensor of a group: its name and the struct member that points to it.
template <class Group, class Pointer>
struct TensorField {
  std::string_view name;    ///< name in files and messages, for example "fan_out.weight"
  Pointer Group::*pointer;  ///< the struct member
};

/// The trainable tensors. parameter_shape() returns which of them a Spec has. The others are null.
template <class Real>
struct Parameters {
  Real* w_in = nullptr;              ///< [I,N]; lstm: [I,4N], gates i, f, g, o. Absent if I = 0
  Real* b = nullptr;                 ///< [N]; lstm: [4N]. Absent if I = 0 and in a feedforward cell
  Real* w = nullptr;                 ///< [P,N] weights of the plastic connection, constant during a sequence
  Real* w_gates = nullptr;           ///< [N,3N] lstm only: recurrent weights of the gates i, f, o
  Real* alpha = nullptr;             ///< plasticity coefficients, [1], [N] or [P,N] by Spec::alpha
  Real* eta = nullptr;               ///< [1] fixed rate, or the constant of the eligibility trace
  Real* modulator_weight = nullptr;  ///< [N] v
  Real* modulator_bias = nullptr;    ///< [1] v0
  Real* fan_out_weight = nullptr;    ///< [N] F
  Real* fan_out_bias = nullptr;      ///< [N] F0

  using Entry = TensorField<Parameters, Real*>;  ///< one entry of members()
  /// Returns the tensors in a fixed order.
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

/// The input tensors of a sequence. input_shape() returns which of them a Spec has. The others are null.
template <class Real>
struct Inputs {
  Real* x = nullptr;  ///< [T,B,I] rnn with I > 0 and lstm: the input current is x w_in + b + u
  /// [T,B,N], lstm: [T,B,4N], gates i, f, g, o. Input current, added to x w_in + b if the cell has these.
  /// Null means zero.
  Real* u = nullptr;
  Real* pre = nullptr;   ///< [T,B,I] feedforward: presynaptic activity
  Real* rate = nullptr;  ///< [T,B,N] Rate::external: the rate g

  using Entry = TensorField<Inputs, Real*>;  ///< one entry of members()
  /// Returns the tensors in a fixed order.
  static constexpr std::array<Entry, 4> members() {
    return {{{"x", &Inputs::x}, {"u", &Inputs::u}, {"pre", &Inputs::pre}, {"rate", &Inputs::rate}}};
  }
};

/// The state that is carried from step to step. state_shape() returns which tensors a Spec has. The others
/// are null.
template <class Real>
struct State {
  Real* y = nullptr;            ///< [B,N] output of the last step: y of an rnn, h of an lstm
  Real* c = nullptr;            ///< [B,N] cell state of an lstm
  Real* hebb = nullptr;         ///< [B,P,N] Hebbian trace
  Real* eligibility = nullptr;  ///< [B,P,N] eligibility trace

  using Entry = TensorField<State, Real*>;  ///< one entry of members()
  /// Returns the tensors in a fixed order.
  static constexpr std::array<Entry, 4> members() {
    return {
        {{"y", &State::y}, {"c", &State::c}, {"hebb", &State::hebb}, {"eligibility", &State::eligibility}}};
  }
};

/// Optional masks of a sequence. Any of them may be null. In `reset` and `clamp` 0 means off; any other value
/// means on.
template <class Real>
struct Masks {
  /// [T,B] On: y, c, hebb and eligibility of batch element b are set to zero before step t. No gradient flows
  /// back through the reset.
  const std::uint8_t* reset = nullptr;
  /// [B] Number of steps of each batch element, 0 to T. From step `length` on, the outputs are zero, the
  /// state does not change, and no gradient flows. A Plan on a GPU clamps a value outside this range; all
  /// other calls throw Error(invalid_argument).
  const std::int64_t* length = nullptr;
  /// [T,B,N] On: the postsynaptic activity is clamp_value. No gradient flows through it.
  const std::uint8_t* clamp = nullptr;
  /// [T,B,N] Given if and only if `clamp` is given. Entries are read only if `clamp` is on.
  const Real* clamp_value = nullptr;
};

/// Arguments of a forward pass over T steps. An output must not overlap any other tensor, tape or scratch of
/// the call, except as stated for final_state.
template <class Real>
struct ForwardArgs {
  Parameters<const Real> parameters;  ///< required: every tensor that the spec has
  Inputs<const Real> inputs;          ///< required: every tensor that the spec has, except u
  Masks<Real> masks;                  ///< optional
  State<const Real> initial_state;    ///< a null tensor means zero
  Real* y = nullptr;                  ///< [T,B,N] out, required: output of every step (lstm: h)
  Real* modulation = nullptr;         ///< [T,B] out, optional: M of every step. Null without a modulator
  /// [T,B,N] out, optional: the pre-activation a of every step, to which the activation is applied (lstm: of
  /// the candidate gate). A clamp does not change it. Zero from step `length` on.
  Real* a = nullptr;
  /// out, optional: the state after the last step. Each tensor may alias its tensor in initial_state.
  State<Real> final_state;
};

/// Arguments of a backward pass over T steps: the inputs of the forward pass, the upstream gradients and the
/// output gradients. An output must not overlap any other tensor, tape or scratch of the call, except as
/// stated for dinitial_state.
template <class Real>
struct BackwardArgs {
  Parameters<const Real> parameters;  ///< same values as in forward
  Inputs<const Real> inputs;          ///< same values as in forward
  /// Same values as in forward. On the CPU a mask that only one of the two passes has is refused.
  Masks<Real> masks;
  /// Same values as in forward. A Plan ignores it and reads the initial state from its tape.
  State<const Real> initial_state;
  const Real* dy = nullptr;  ///< [T,B,N] upstream gradient of y; null means zero
  /// [T,B,N] upstream gradient of the pre-activation a; null means zero. It is added to the gradient that
  /// arrives through the activation, so a loss on the pre-activation has a gradient if the activation is
  /// saturated.
  const Real* da = nullptr;
  State<const Real> dfinal_state;  ///< upstream gradients of the final state; null means zero
  Parameters<Real> dparameters;    ///< out, optional: gradients are ADDED to the current values
  Inputs<Real> dinputs;            ///< out, optional: overwritten
  /// out, optional: overwritten. Each tensor may alias its tensor in dfinal_state.
  State<Real> dinitial_state;
};

/// Arguments of a single step without gradients. The tensors are those of ForwardArgs with T = 1. The state
/// is in the plan's step state. An output must not overlap any other tensor or memory of the call.
template <class Real>
struct StepArgs {
  Parameters<const Real> parameters;  ///< required: every tensor that the spec has
  Inputs<const Real> inputs;          ///< [1,B,..] required: every tensor that the spec has, except u
  Masks<Real> masks;                  ///< optional; `length` must be null
  Real* y = nullptr;                  ///< [B,N] out, required: output of this step (lstm: h)
  Real* modulation = nullptr;         ///< [B] out, optional: M of this step. Null without a modulator
  Real* a = nullptr;                  ///< [B,N] out, optional: the pre-activation of this step
};

/// @{
/// Returns the shape of the tensor `name`, for example "w_in", "fan_out.weight", "x" or "hebb". Returns
/// nothing if the spec has no such tensor. The spec must be valid, with sizes that a Plan accepts; that is
/// not checked.
PLASTICITY_API std::optional<Shape> parameter_shape(const Spec& spec, std::string_view name);
PLASTICITY_API std::optional<Shape> input_shape(const Spec& spec, std::int64_t steps, std::int64_t batch,
                                                std::string_view name);
PLASTICITY_API std::optional<Shape> state_shape(const Spec& spec, std::int64_t batch, std::string_view name);
/// @}

}  // namespace plasticity
