// The cell of one column: from its currents to its output, and the adjoint. Values only, no memory.
#pragma once

#include "step/complete.cuh"

namespace plasticity::cuda {

__device__ inline float activate(Activation activation, float a) {
  // Comparisons one by one: a switch becomes an indirect jump, which takes longer than three of them.
  if (activation == Activation::tanh) return tanhf(a);
  if (activation == Activation::sigmoid) return sigmoid(a);
  if (activation == Activation::relu) return a < 0 ? 0 : a;
  return a;
}

/// One column after a step. Under softmax only `current` is set, the column's logit.
struct CellStep {
  float current, post, output;
  float c, i, f, o;  // LSTM
};

/// `totals`: the currents, in an LSTM in the order i f g o. `tbj`: the index of the column's clamp.
__device__ inline CellStep step_cell(const StepParams& p, const float (&totals)[4], float c_before,
                                     std::int64_t tbj) {
  CellStep cell{};
  cell.current = p.lstm ? totals[2] : totals[0];
  if (p.activation == Activation::softmax) return cell;
  cell.post = activate(p.activation, cell.current);
  if (p.clamp != nullptr && p.clamp[tbj] != 0) cell.post = p.clamp_value[tbj];
  cell.output = cell.post;
  if (p.lstm) {
    cell.i = sigmoid(totals[0]);
    cell.f = sigmoid(totals[1]);
    cell.o = sigmoid(totals[3]);
    cell.c = multiply_add(cell.f, c_before, rounded_product(cell.i, cell.post));
    cell.output = cell.o * tanhf(cell.c);
  }
  return cell;
}

/// The gradient of a current from dy, that of f = activation(current). `inner`: Σ_j dy_j f_j, for softmax.
__device__ inline float current_gradient(Activation activation, float f, float dy, float inner) {
  switch (activation) {
    case Activation::tanh: return dy * multiply_add(-f, f, 1.0f);  // adjoint
    case Activation::sigmoid: return dy * f * (1 - f);             // adjoint
    case Activation::relu: return f > 0 ? dy : 0 * dy;
    case Activation::softmax: return f * (dy - inner);  // adjoint
    case Activation::identity: break;
  }
  return dy;
}

/// The adjoint of an LSTM's cell. From dh and dc, the gradients after the step, it computes ā of the
/// currents, in the order i f g o, and returns the gradient of c before the step. `dpost`: the gradient of
/// the candidate from the trace update of the same step.
__device__ inline float reverse_lstm(const CellStep& cell, float c_before, bool clamped, float dh, float dc,
                                     float dpost, float (&da)[4]) {
  const float squashed = tanhf(cell.c);
  dc = multiply_add(dh * cell.o, multiply_add(-squashed, squashed, 1.0f), dc);  // adjoint
  da[0] = dc * cell.post * cell.i * (1 - cell.i);                               // adjoint
  da[1] = dc * c_before * cell.f * (1 - cell.f);                                // adjoint
  da[3] = dh * squashed * cell.o * (1 - cell.o);                                // adjoint
  const float into_post = clamped ? 0 : multiply_add(dc, cell.i, dpost);
  da[2] = current_gradient(Activation::tanh, cell.post, into_post, 0);
  return dc * cell.f;  // adjoint
}

}  // namespace plasticity::cuda
